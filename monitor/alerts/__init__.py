"""Alerts: a problem begins an episode; people hear once that it began and once that it ended."""
