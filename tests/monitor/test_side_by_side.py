"""Commands that live and end together."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.projects import ROOT

RUN = """
import sys
from monitor import side_by_side
from stages.common.errors import StageError
try:
    side_by_side.run({name: (sys.executable, "-u", "-c", code)
                      for name, code in zip(("server", "monitor"), sys.argv[1:])})
except StageError as error:
    sys.exit(f"error: {error}")
"""

LIVES = """
import os, signal, sys, time
def end(*_): print("ends"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("lives", os.getpid())
time.sleep(60)
"""


def started(*codes: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-u", "-c", RUN, *codes],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_both_in_order(number: int) -> None:
    process = started(LIVES, LIVES)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    if number == signal.SIGINT:
        # As Ctrl-C does, to the whole group.
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert {line.split(" lives")[0] for line in lines} == {"server  |", "monitor |"}
    assert sorted(output.splitlines()) == ["monitor | ends", "server  | ends"]
    for line in lines:
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[-1]), 0)


def test_one_that_dies_ends_the_other_and_is_named(tmp_path: Path) -> None:
    there = tmp_path / "there"
    lives = LIVES.replace("time.sleep(60)", f"open({str(there)!r}, 'w'); time.sleep(60)")
    dies = (
        f"import os, sys, time\nwhile not os.path.exists({str(there)!r}): time.sleep(0.05)\n"
        "print('error: no port'); sys.exit(3)"
    )
    begin = time.monotonic()
    process = started(dies, lives)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - begin < 20
    assert "server  | error: no port" in output
    assert "monitor | ends" in output
    assert errors == "error: server ended with exit status 3, and all others with it\n"
    assert process.returncode == 1


def test_what_they_print_is_kept_with_its_time_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "log/up.log"
    prints = "for number in range(200): print(f'100 % of line {number}')"
    keeps = (
        f"import pathlib, sys; from monitor import side_by_side; side_by_side._BYTES = 2_000\n"
        f"server = (sys.executable, '-c', {prints!r})\n"
        f"side_by_side.run({{'server': server}}, log_file=pathlib.Path({str(path)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", keeps],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "server ended with exit status 0" in done.stderr
    assert len(done.stdout.splitlines()) == 200
    files = sorted(path.parent.iterdir())
    assert len(files) == 5
    assert all(file.stat().st_size <= 2_000 for file in files)
    newest = path.read_text(encoding="utf-8").splitlines()[-1]
    time_in_utc = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(rf"{time_in_utc} server \| 100 % of line 199", newest)
