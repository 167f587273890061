"""Runs a command in a process of its own, and measures its time and its memory."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.panel import ROOT

LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Usage:
    """The time and memory of a process.

    Attributes:
        seconds: wall time, start of the interpreter included.
        peak: largest resident set, in bytes.
        output: of both streams.
    """

    seconds: float
    peak: int
    output: str


def environment(**extra: str) -> dict[str, str]:
    """The environment of a benchmarked process: this Python first, bytecode written."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PATH": path, "DVC_NO_ANALYTICS": "true", **extra}


def python(arguments: Sequence[str], folder: Path) -> Usage:
    """Run Python with the project's modules, in a project's folder.

    Raises:
        SystemExit: the command failed; its output follows.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(LAUNCHER), sys.executable, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    usage = json.loads(done.stdout)
    return Usage(usage["seconds"], usage["peak"], done.stderr)
