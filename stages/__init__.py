"""The pipeline: one module per stage of dvc.yaml, and the domain folders that they use."""
