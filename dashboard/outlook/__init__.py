"""One symbol: its bars, its forecasts, what came of earlier ones, and what other bars would give."""
