"""What the server says about itself: logs, metrics, the live feed."""
