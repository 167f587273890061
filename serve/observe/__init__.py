"""What the server tells about itself: access log, metrics, live listeners."""
