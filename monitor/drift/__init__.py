"""Whether the live forecasts are made from data like that which their model was trained on."""
