"""Replay: compute a prediction again with the model that made it, and compare to the last bit."""
