"""Checks of everything that the forecasts depend on: one small function a check."""
