"""The pages: each module has `show`, which lays out what the other modules read and draw."""
