"""What each feature contributes to a forecast."""
