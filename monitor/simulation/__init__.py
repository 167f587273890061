"""Runs the whole loop on past data with a simulated clock: the pipeline, the server, the gates."""
