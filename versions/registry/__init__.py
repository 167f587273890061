"""Releases and promotions of models, kept as git tags."""
