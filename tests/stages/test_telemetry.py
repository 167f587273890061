"""onnxruntime does not report to its makers that it is used, by whichever way it is imported."""

import subprocess
import sys

import pytest

from tests.projects import ROOT

PRINTS = "; import os; print(os.environ['ORT_DISABLE_TELEMETRY'])"


@pytest.mark.parametrize("module", ["stages.common.errors", "serve.settings"])
def test_telemetry_is_off_before_anything_is_imported(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}{PRINTS}"],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
