"""Watches the served forecasts: labels, drift, performance, health, alerts, gated retraining."""
