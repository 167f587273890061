"""Reading params.yaml: what is valid YAML and yet stops DVC."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.common import sections
from stages.common.errors import ParamsError
from tests.projects import Project

BARE = """data:
  as_of: 2012-12-31
  extra_sessions: ['2016-10-30', 2016-11-06]
search:
  anything: {since: 2012-01-01 10:00:00}
"""


def test_dates_without_quotes_are_named_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(BARE, encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        sections.read(path)
    message = str(caught.value)
    assert "data.as_of: 2012-12-31" in message
    assert "write '2012-12-31'" in message
    assert "data.extra_sessions.1" in message
    assert "data.extra_sessions.0" not in message
    assert "search.anything.since" in message


def test_what_dvc_says_of_a_date_without_quotes_is_on_the_page(
    tmp_path: Path, repo_root: Path
) -> None:
    pipeline, page = repo_root / "dvc.yaml", repo_root / "docs" / "data.md"
    shutil.copy(pipeline, tmp_path)
    params = (repo_root / "params.yaml").read_text(encoding="utf-8")
    bare = re.sub(r"as_of: '([\d-]+)'", r"as_of: \1", params)
    assert bare != params
    (tmp_path / "params.yaml").write_text(bare, encoding="utf-8")
    project = Project(tmp_path)
    project.dvc("init", "--no-scm")
    line = project.dvc("repro", check=False).splitlines()[0]
    assert "data.as_of" in line
    text = page.read_text(encoding="utf-8")
    assert f"`{line}`" in text
    assert "`as_of: '2012-12-31'`" in text


def test_the_command_that_make_run_calls_first_fails_in_one_line(
    tmp_path: Path, repo_root: Path
) -> None:
    def check() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stages.common.sections"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(repo_root)},
            capture_output=True,
            text=True,
            check=False,
        )

    path = tmp_path / "params.yaml"
    path.write_text(BARE, encoding="utf-8")
    failed = check()
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: data.as_of: 2012-12-31 ")
    assert failed.stderr.count("\n") == 1
    path.write_text("data: {as_of: '2012-12-31'}\n", encoding="utf-8")
    assert check().returncode == 0
    recipe = (repo_root / "Makefile").read_text(encoding="utf-8").partition("\nrun: ")[2]
    assert recipe.splitlines()[1] == "\t@$(PY) -m stages.common.sections"
