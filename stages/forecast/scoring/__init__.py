"""How good forecasts and their distributions were."""
