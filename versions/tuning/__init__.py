"""The search for better params: what may be tried, the trials of a study, one trial in DVC."""
