"""Is everything well that the forecasts stand on? One small function a check."""
