"""What git, DVC and GTO know of the project's versions, read where they keep it."""
