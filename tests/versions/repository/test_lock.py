"""dvc.lock as typed objects, against the project's own and hand-made ones."""

from pathlib import Path

import pytest
import yaml

from stages.common.errors import VersionError
from versions.repository import lock

TEXT = """
schema: '2.0'
stages:
  features:
    cmd: python -m stages.features
    deps:
    - {path: data/clean, hash: md5, md5: 0c.dir, size: 12, nfiles: 2}
    params:
      params.yaml:
        features.sma: [7, 21]
    outs:
    - {path: data/features, hash: md5, md5: 0f.dir, size: 7, nfiles: 1}
  clean:
    cmd: [python -m stages.clean, 'true']
    outs:
    - {path: data/clean, hash: md5, md5: 0c.dir, size: 12, nfiles: 2}
    - {path: metrics/clean.json, hash: md5, md5: 0a, size: 3}
"""


def test_a_lock_is_read_by_hand() -> None:
    parsed = lock.parse(TEXT)
    assert set(parsed.stages) == {"clean", "features"}
    features = parsed.stages["features"]
    assert features.deps == (lock.Entry("data/clean", "0c.dir", 12, 2),)
    assert features.params == {"features.sma": [7, 21]}
    assert features.deps[0].is_folder
    assert parsed.stages["clean"].cmd == "python -m stages.clean && true"
    assert parsed.stages["clean"].params == {}
    assert parsed.outs["metrics/clean.json"].md5 == "0a"
    assert not parsed.outs["metrics/clean.json"].is_folder


def test_the_lock_of_the_project_is_read_whole(repo_root: Path) -> None:
    path = repo_root / "dvc.lock"
    parsed = lock.read(path)
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    assert {name: [e.md5 for e in stage.outs] for name, stage in parsed.stages.items()} == {
        name: [out["md5"] for out in stage.get("outs", ())] for name, stage in plain.items()
    }
    for name, stage in plain.items():
        assert parsed.stages[name].params == stage.get("params", {}).get("params.yaml", {})


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< HEAD\nstages: {}\n=======\nstages: {}\n>>>>>>> other\n",
        "stages: [1]\n",
        "- a\n",
        "stages: {a: {outs: [{path: x}], cmd: y}}",
    ],
)
def test_what_is_no_lock_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(VersionError, match=r"^mine cannot be read as a dvc\.lock; after a merge"):
        lock.parse(text, "mine")


def test_a_missing_lock_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(VersionError, match=r"dvc\.lock: no such file; run `dvc repro` first$"):
        lock.read(tmp_path / "dvc.lock")
