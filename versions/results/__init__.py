"""The results in metrics/, and what a run changed of them."""
