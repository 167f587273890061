"""Clean bars: rules, sessions, corporate actions, and a report of what was rejected."""
