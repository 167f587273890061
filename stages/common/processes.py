"""Processes of this machine, as /proc shows them.

Without /proc, it is only known whether a process exists.
"""

import os
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """A process.

    Attributes:
        pid: its number, which another process may have later.
        name: of its program, cut to 15 letters.
        state: a letter; Z has ended and waits for its parent to notice.
        parent: the number of its parent.
        ticks: when it began, in clock ticks since the machine started; 0 where that is not known.
            With the pid, it is unique.
    """

    pid: int
    name: str
    state: str
    parent: int
    ticks: int

    @property
    def age(self) -> float:
        """Seconds since it began; 0 where that is not known."""
        if not self.ticks:
            return 0.0
        uptime = float((_PROC / "uptime").read_bytes().split()[0])
        return max(0.0, uptime - self.ticks / os.sysconf("SC_CLK_TCK"))

    @property
    def words(self) -> list[str]:
        """Its command line; empty if it has ended, or belongs to the kernel."""
        try:
            line = (_PROC / str(self.pid) / "cmdline").read_bytes()
        except OSError:
            return []
        return os.fsdecode(line).rstrip("\0").split("\0")

    @property
    def programs(self) -> list[str]:
        """The programs of its command line: of `/usr/bin/python3 -m dvc repro`, `dvc` is one."""
        return [Path(word).name for word in self.words[:4]]


def process(pid: int) -> Process | None:
    """A process by its number; None if there is none."""
    if pid <= 0:
        return None
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if (_PROC / "self").exists() else _unseen(pid)
    # A name may hold blanks and brackets.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return Process(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


def _unseen(pid: int) -> Process | None:
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return Process(pid, "", "?", 0, 0)


def alive(pid: int, ticks: int) -> bool:
    """Whether the process with this number and this start still runs."""
    current = process(pid)
    return current is not None and current.ticks == ticks and current.state not in "ZX"
