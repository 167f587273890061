"""One symbol: its bars and forecasts, what came of earlier ones, and what other bars would give."""
