"""Whether a file of the working tree is what the lock says, hashed as DVC hashes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from versions.repository import lock
from versions.repository.lock import Entry
from versions.repository.workspace import digest, state


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "two").write_bytes(b"two\n")
    (folder / "one").write_bytes(b"one\n")
    assert digest(folder / "one") == "5bbf5a52328e7439ae6e719dfe712200"
    # As `dvc add` writes for the same folder.
    assert digest(folder) == "eb03aa1b299e85dc6168bb95bc5138c5.dir"

    whole = Entry("out", digest(folder), 8, 2)
    assert state(whole, tmp_path) == "same"
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").touch()
    assert state(whole, tmp_path) == "different"
    (tmp_path / ".dvcignore").write_text("# not ours\n__pycache__/\n", encoding="utf-8")
    assert state(whole, tmp_path) == "same"
    (folder / "one").write_bytes(b"other\n")
    assert state(whole, tmp_path) == "different"
    assert state(Entry("out", "5bbf5a52328e7439ae6e719dfe712200", 4), tmp_path) == "different"
    assert state(Entry("none", "0", 0), tmp_path) == "missing"


@pytest.mark.parametrize(
    "path", ["data/inbox", "data/actions.csv", "great_expectations/expectations", "stages/sources"]
)
def test_what_dvc_hashed_has_the_same_md5_here(repo_root: Path, tmp_path: Path, path: str) -> None:
    # Only files that git knows: users put theirs into data/inbox.
    known = ("git", "ls-files", "-z", "dvc.lock", ".dvcignore", path)
    listed = subprocess.run(known, cwd=repo_root, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo_root / name, tmp_path / name)
    recorded = lock.read(tmp_path / "dvc.lock")
    entries = {dep.path: dep for stage in recorded.stages.values() for dep in stage.deps}
    assert state(entries[path], tmp_path) == "same"
