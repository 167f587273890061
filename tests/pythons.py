"""A `python` for what starts DVC as `python -m dvc` again and again."""

import shlex
import sys
from pathlib import Path

from tests import forks


def with_forked_dvc(path: Path) -> str:
    """Write this script: its DVC is that of `forks`, and all else is the Python of the tests."""
    dvc, python = shlex.quote(str(forks.folder() / "dvc")), shlex.quote(sys.executable)
    lines = (
        "#!/bin/sh",
        f'if [ "$1 $2" = "-m dvc" ]; then shift 2; exec {dvc} "$@"; fi',
        f'exec {python} "$@"',
    )
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return str(path)
