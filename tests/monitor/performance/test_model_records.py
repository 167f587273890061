"""What a revision says of its model: from the checkout, and from git and DVC's cache."""

import shutil
import subprocess
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml

from monitor.performance import model_records
from monitor.settings import MonitorError
from tests.monitor import live, served_model
from tests.monitor.served_model import HORIZON


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project whose model was replaced since: folder, md5 and commit of the former one."""
    folder = tmp_path_factory.mktemp("project")
    md5 = served_model.project(folder, live.bars(sessions=served_model.TRAINED + 10))
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").touch()
    lock = folder / "dvc.lock"
    former = lock.read_text(encoding="utf-8")
    for out in yaml.safe_load(former)["stages"]["evaluate"]["outs"]:
        cached = folder / ".dvc/cache/files/md5" / out["md5"][:2] / out["md5"][2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / out["path"], cached)
    git(folder, "init", "-q")
    git(folder, "add", "dvc.lock", ".dvc/config")
    git(folder, "commit", "-qm", "the former model")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "models" / HORIZON / "model.onnx").write_bytes(served_model.graph(0.05))
    lock.write_text(former.replace(md5, "f" * 32), encoding="utf-8")
    git(folder, "commit", "-qam", "another model")
    return folder, md5, commit


def test_a_former_model_comes_from_its_commit_and_the_cache(
    project: tuple[Path, str, str],
) -> None:
    folder, md5, commit = project
    for revision in (commit, f"{commit}-dirty"):
        record = model_records.read(HORIZON, md5, revision, folder)
        assert record.graph == served_model.graph()
        assert record.held_out["coverage"] == 0.9


def test_the_distribution_is_that_of_the_graph(tmp_path: Path) -> None:
    md5 = served_model.project(tmp_path, live.bars(sessions=served_model.TRAINED + 10))
    record = model_records.read(HORIZON, md5, "unknown", tmp_path)
    wanted = served_model.spread()
    assert record.spread.grid == pytest.approx(wanted.grid, abs=1e-5)
    assert np.diff(record.spread.grid).min() > 0
    assert (record.spread.lower, record.spread.upper) == pytest.approx((-1.645, 1.645))
    assert record.level == live.LEVEL
    assert record.trained[0] == live.START
    assert record.known < record.as_of <= date(2023, 1, 1)


@pytest.mark.parametrize(
    ("md5", "revision", "phrase"),
    [
        ("e" * 32, "HEAD", "another md5"),
        ("e" * 32, "unknown", "no revision 'unknown'"),
    ],
)
def test_a_model_that_no_commit_has_is_named_with_the_remedy(
    project: tuple[Path, str, str], md5: str, revision: str, phrase: str
) -> None:
    with pytest.raises(MonitorError, match=phrase) as caught:
        model_records.read(HORIZON, md5, revision, project[0])
    assert md5[:8] in str(caught.value)
    assert "dvc fetch" in str(caught.value)


def test_a_file_that_the_cache_lacks_is_an_error_of_one_line(
    project: tuple[Path, str, str], tmp_path: Path
) -> None:
    folder, md5, commit = project
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/.dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    with pytest.raises(MonitorError, match=md5[2:]):
        model_records.read(HORIZON, md5, commit, tmp_path / "copy")
