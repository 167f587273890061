"""How good the forecasts were once their outcome was known, and whether a model got worse."""
