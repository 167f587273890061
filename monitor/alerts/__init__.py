"""Alerts: what is not well begins an episode, and people are told once, and once of its end."""
