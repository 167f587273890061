"""The server of a simulation, when it does not start."""

import os
import sys
from pathlib import Path

import pytest

from monitor.settings import MonitorError
from monitor.simulation import live_server
from monitor.simulation.live_server import LiveServer


def test_a_server_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 60\n", "utf-8")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(live_server, "STARTS", 0.3)
    server = LiveServer(tmp_path, os.environ)
    with pytest.raises(MonitorError, match=r"does not answer: .*server\.log"):
        server.__enter__()
    assert server._process.poll() is not None
