"""Clean bars: the rules of a bar, corporate actions, and a report of what was rejected."""
