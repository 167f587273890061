"""Where the prediction log is, unless `DATABASE_URL` names another place."""

from pathlib import Path


def default_url(folder: Path) -> str:
    """The SQLite log of a server that keeps its files in a folder."""
    return f"sqlite:///{folder / 'predictions.db'}"
