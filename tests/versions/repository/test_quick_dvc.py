"""The lock that is read with libyaml has the bytes that DVC writes."""

import subprocess
import sys
from pathlib import Path

from dvc.repo import Repo
from dvc.utils.serialize import dumps_yaml, loads_yaml

from tests.projects import ROOT
from versions.repository.lock import LOCK_FILE


def test_both_parsers_give_the_same_bytes() -> None:
    text = (ROOT / LOCK_FILE).read_text(encoding="utf-8")
    assert dumps_yaml(loads_yaml(text)) == text


def test_dvc_finds_nothing_to_do_afterwards(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True)
    (tmp_path / "params.yaml").write_text(
        "key: ['2013-01-02', 1e-06, 'on', null, 'a: [b]', é, 1.0, {a: ''}]\n", encoding="utf-8"
    )
    locks = []
    for module in ("dvc", "versions.repository.quick_dvc"):
        for number, writes in enumerate(("Generating", "Updating")):
            (tmp_path / "dvc.yaml").write_text(
                "stages:\n"
                f"  a:\n    cmd: echo {number} > a\n    outs: [a]\n    params: [key]\n"
                "  b:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n",
                encoding="utf-8",
            )
            done = subprocess.run(
                [sys.executable, "-m", module, "--cd", str(tmp_path), "repro"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            assert f"{writes} lock file 'dvc.lock'" in done.stdout
        assert Repo(str(tmp_path)).status() == {}
        locks.append((tmp_path / "dvc.lock").read_bytes())
        (tmp_path / "dvc.lock").unlink()
    assert locks[0] == locks[1]
