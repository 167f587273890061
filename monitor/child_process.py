"""Commands of the project as child processes: their environment, and why one failed."""

import os
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """The environment of this process, in which `python` is the one that runs it.

    DVC starts every stage as `python`.
    """
    folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join((folder, os.environ.get("PATH", os.defpath)))}


def reason(text: str) -> str:
    """The line that says why a command failed: the project's own first error, or the last line.

    Args:
        text: what it wrote to its standard error, or to both streams.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (own[:1] or lines[-1:] or ["it said nothing"])[0]
