"""Rows in, forecasts out."""
