"""The endpoints, one module for each thing that a caller asks about."""
