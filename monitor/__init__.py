"""Watches what was forecast: labels, drift, performance, health, alerts, retraining by gates."""
