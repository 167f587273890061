"""Train a candidate: rows as arrays, folds, models, and their graphs."""
