"""Runs of the pipeline, from the dashboard and from the terminal: what ran, how long, how it ended."""
