"""What Home says in one look: the newest forecasts, states with their remedies, production."""
