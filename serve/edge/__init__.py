"""What a request must pass before a route sees it: bounds, keys, limits."""
