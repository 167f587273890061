"""What Home says in one look: states with their remedies, production, the last decision."""
