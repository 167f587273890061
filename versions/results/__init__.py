"""The results in metrics/, how they are shown, and what a run changed."""
