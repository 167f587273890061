"""How a command ends."""

import subprocess
import sys

import pytest

from tests.projects import ROOT


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        ("KeyboardInterrupt", 130, "error: interrupted\n"),
        ("StageError('one\\n line')", 1, "error: one line\n"),
    ],
)
def test_what_stops_a_command_is_one_line(raised: str, status: int, said: str) -> None:
    script = (
        "from stages.common.errors import StageError\n"
        "from stages.common.running import run\n"
        f"def main(): raise {raised}\n"
        "run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, said)
