"""Runs of the pipeline, from the dashboard and the terminal: what ran, how long, how it ended."""
