"""The HTTP API: forecasts from whatever model revision is checked out, each durably logged."""
