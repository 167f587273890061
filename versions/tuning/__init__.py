"""The search for better params: what may be tried, what to try next, and one trial."""
