"""Whether live forecasts are made from data like those that their model was trained on."""
