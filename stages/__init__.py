"""The pipeline: one module per DVC stage, and the few modules that they share."""
