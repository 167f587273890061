"""From rows to a forecast: folds, models, their combination, its uncertainty and its scores."""
