"""The lock that is written stage by stage has the bytes that DVC writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml

from tests.projects import ROOT
from versions.repository.lock import LOCK_FILE
from versions.repository.lock_writer import replaced

LOCK = (ROOT / LOCK_FILE).read_text(encoding="utf-8")

VALUES = {"first": "2013-01-02", "none": None, "long": "a " * 90 + "\n\nb", "small": 1e-06}


def test_one_stage_is_replaced_and_the_others_keep_their_text() -> None:
    content = yaml.safe_load(LOCK)
    text: str | None = LOCK
    names = list(content["stages"])
    for name in (names[0], names[len(names) // 2], names[-1]):
        entry = content["stages"][name]
        entry["params"] = {"params.yaml": dict(VALUES)}
        entry["deps"] = entry["deps"][:1]
        assert text is not None
        text = replaced(text, name, dumps_yaml({"stages": {name: entry}}))
    assert text == dumps_yaml(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOCK.replace("  clean:\n", "  cleaned:\n"),
        LOCK.replace("  clean:\n", "  clean: # by hand\n"),
        LOCK.replace("\n", "\r\n"),
        LOCK + "  more:\n    cmd: &id001 x\n",
    ],
)
def test_a_lock_of_another_form_is_left_to_dvc(text: str) -> None:
    assert replaced(text, "clean", "stages:\n  clean:\n    cmd: true\n") is None


def test_dvc_finds_nothing_to_do_afterwards(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True)
    # The first lock is written by DVC.
    for number, writes in enumerate(("Generating", "Updating")):
        (tmp_path / "dvc.yaml").write_text(
            f"stages:\n  a:\n    cmd: echo {number} > a\n    outs: [a]\n", encoding="utf-8"
        )
        done = subprocess.run(
            [sys.executable, "-m", "versions.repository.lock_writer", "dvc", "repro"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"{writes} lock file 'dvc.lock'" in done.stdout
        assert (tmp_path / "a").read_text(encoding="utf-8") == f"{number}\n"
        assert Repo(str(tmp_path)).status() == {}
