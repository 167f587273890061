"""Load, verify and follow the revision that is checked out."""
