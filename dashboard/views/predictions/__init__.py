"""The sections of the page Predictions."""
