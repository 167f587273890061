"""Whether a file has changed, without reading it."""

from pathlib import Path


def stamp(path: Path) -> tuple[int, int, int] | None:
    """A value that changes with a file; None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ctime_ns, status.st_size, status.st_ino
