"""A clone in a folder whose name has letters beyond ASCII."""

import shutil
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.small import small
from versions.tuning.trial import check_cache

pytestmark = pytest.mark.slow


def test_experiments_beside_the_workspace_need_a_cache_with_a_plain_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small(tmp_path / "José")
    monkeypatch.chdir(project.folder)
    run = ("exp", "run", "--temp", "-S", "evaluate.level=0.4")
    assert "codec can't encode character" in project.dvc(*run, check=False)
    with pytest.raises(VersionError) as caught:
        check_cache()
    for fact in ("José/.dvc/cache", "ASCII", "dvc cache dir --local"):
        assert fact in str(caught.value)

    shutil.move(project.folder / ".dvc" / "cache", tmp_path / "cache")
    project.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    check_cache()
    assert "Ran experiment(s)" in project.dvc(*run)
