"""Processes are known by their number and their begin."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.common import processes


def test_a_process_is_known_as_long_as_it_runs() -> None:
    code = "print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "a word"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # Its command line is there a moment after the process is.
    assert child.stdout is not None
    child.stdout.readline()
    process = processes.process(child.pid)
    assert process is not None
    assert process.parent == os.getpid()
    assert process.words[-1] == "a word"
    assert 0 <= process.age < 60
    assert processes.alive(child.pid, process.ticks)
    # Another process of the same number.
    assert not processes.alive(child.pid, process.ticks + 1)
    child.kill()
    deadline = time.monotonic() + 30
    # Its end counts before its parent has noticed.
    while processes.alive(child.pid, process.ticks):
        assert time.monotonic() < deadline
    child.communicate()
    assert processes.process(child.pid) is None


def test_without_proc_a_process_is_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path / "none")
    me = processes.process(os.getpid())
    assert me is not None
    assert (me.words, me.age) == ([], 0.0)
    assert processes.alive(os.getpid(), me.ticks)
    assert processes.process(0) is None
    assert processes.process(2**22) is None
