"""Changes of the prediction log's tables, in order; `make migrate` applies those that are new."""
