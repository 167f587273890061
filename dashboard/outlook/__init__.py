"""One symbol: its bars and forecasts, earlier outcomes, and forecasts from edited bars."""
