"""onnxruntime does not report to its makers that it is used, by whichever way it is imported."""

import subprocess
import sys

import pytest

from tests.projects import ROOT

WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Watch())
import {module}
"""


@pytest.mark.parametrize("module", ["stages.train", "stages.evaluate", "serve.app"])
def test_telemetry_is_off_before_onnxruntime_is_imported(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH.replace("{module}", module)],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
