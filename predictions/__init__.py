"""The prediction log: every forecast that was served, and the labels that came later."""
