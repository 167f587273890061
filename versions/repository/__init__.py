"""What git, dvc.lock and dvc.yaml say about a revision. Nothing here changes them."""
