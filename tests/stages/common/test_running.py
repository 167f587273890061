"""How a command ends."""

import gc
import subprocess
import sys

import pytest

from stages.common.running import without
from tests.projects import ROOT


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        ("KeyboardInterrupt", 130, "error: interrupted\n"),
        ("StageError('one\\n line')", 1, "error: one line\n"),
    ],
)
def test_what_stops_a_command_is_one_line(raised: str, status: int, line: str) -> None:
    script = (
        "from stages.common.errors import StageError\n"
        "from stages.common.running import run\n"
        f"def main(): raise {raised}\n"
        "run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, line)


def test_a_command_collects_garbage_but_not_what_it_has_imported() -> None:
    script = (
        "import gc, sys\n"
        "sys.argv[0] = '-m'\n"
        "import stages\n"
        "assert not gc.isenabled()\n"
        "from stages.common.running import run\n"
        "run(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


@pytest.mark.parametrize("collects", [True, False])
def test_an_import_collects_no_garbage_and_leaves_the_rest_as_it_was(
    collects: bool,
) -> None:
    frozen = gc.get_freeze_count()
    try:
        gc.enable() if collects else gc.disable()
        with without("a_package_that_is_nowhere"):
            assert not gc.isenabled()
        assert gc.isenabled() == collects
    finally:
        gc.enable()
    assert "a_package_that_is_nowhere" not in sys.modules
    # Nothing was imported, so what is garbage by now can still be found.
    assert gc.get_freeze_count() == frozen
