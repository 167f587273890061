"""The prediction log: what was answered, from which inputs, by which model, and what came of it."""
