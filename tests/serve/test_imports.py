"""What the server does not import, and how soon it answers."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.serve.servers import Server

HEAVY = ("pandas", "sklearn", "xgboost", "lightgbm", "great_expectations", "dvc", "scipy", "onnx")

SERVES = """
import sys
from pathlib import Path

from fastapi.testclient import TestClient

from serve.app import create
from serve.server_settings import Settings

settings = Settings(root=Path(sys.argv[1]), var=Path(sys.argv[2]))
with TestClient(create(settings)) as client:
    assert client.post("/predict/short").status_code == 200
    bar = {"date": "2012-01-03", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    assert client.post("/predict", json={"bars": [bar]}).status_code == 422
    assert client.get("/openapi.json").status_code == 200
print(*sorted(name for name in sys.modules if "." not in name))
"""


def test_a_server_that_has_answered_has_imported_nothing_heavy(
    models: Path, tmp_path: Path, repo_root: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES, str(models), str(tmp_path)],
        cwd=repo_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"polars", "onnxruntime"} <= imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.slow
def test_the_first_answer_comes_before_xgboost_is_imported(models: Path, tmp_path: Path) -> None:
    """The best of several each, in turn: the machine may be busy."""
    answers, imports = [], []
    for number in range(8):
        start = time.perf_counter()
        with Server(models, tmp_path / str(number), alone=True) as server:
            assert httpx2.post(f"{server.url}/predict/short").status_code == 200
            answers.append(time.perf_counter() - start)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import xgboost"], check=True)
        imports.append(time.perf_counter() - start)
        if min(answers) < min(imports):
            break
    assert min(answers) < min(imports), (answers, imports)
