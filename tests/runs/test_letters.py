"""A clone in a folder whose name has letters beyond ASCII."""

import shutil
import sys
from pathlib import Path

import pytest

from stages.common.errors import VersionError
from tests.projects import ROOT
from tests.small import small
from versions import search
from versions.tuning.trial import check_cache

pytestmark = pytest.mark.slow


def test_experiments_beside_the_workspace_need_a_cache_with_a_plain_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small(tmp_path / "José")
    monkeypatch.chdir(project.folder)
    run = ("exp", "run", "--temp", "-S", "evaluate.level=0.4")
    message = "codec can't encode character"
    assert message in project.dvc(*run, check=False)
    assert message in (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    with pytest.raises(VersionError) as caught:
        check_cache()
    for fact in ("José/.dvc/cache", "ASCII", "dvc cache dir --local"):
        assert fact in str(caught.value)
    monkeypatch.setattr(sys, "argv", ["search", "short", "--trials", "0"])
    with pytest.raises(VersionError, match=r"José/\.dvc/cache"):
        search.main()

    shutil.move(project.folder / ".dvc" / "cache", tmp_path / "cache")
    project.dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    check_cache()
    assert "Ran experiment(s)" in project.dvc(*run)
