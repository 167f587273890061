"""The S3 remote of the DVC cache."""
