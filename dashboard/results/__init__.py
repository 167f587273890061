"""The results in metrics/, of the workspace and of any revision."""
