"""What git, dvc.lock and dvc.yaml say about a revision; only read, never changed."""
