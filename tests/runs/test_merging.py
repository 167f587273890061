"""Every command of docs/merging.md, by two clones of a pipeline that takes no time."""

import re
import shutil
from pathlib import Path

import pytest

from tests.projects import ROOT, Project, copied

TEXT = (ROOT / "docs" / "merging.md").read_text(encoding="utf-8")
MERGE, LISTED, FINISH, THEIRS, GONE, OURS = re.findall(
    r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
)

# As the real one: params of models and of evaluation, a metric in git per horizon.
PIPELINE = """
stages:
  train:
    cmd: python make.py train
    deps: [make.py]
    params: [models]
    outs:
    - models/candidates: {persist: true}
  evaluate:
    matrix:
      horizon: ${horizons}
    cmd: python make.py ${item.horizon}
    deps: [make.py, models/candidates]
    params: [evaluate, "horizons.${item.horizon}"]
    outs:
    - models/${item.horizon}/model.onnx: {persist: true}
    metrics:
    - metrics/${item.horizon}.json: {cache: false, persist: true}
"""

# Every output names all that it was made of.
MAKE = """
import json, pathlib, sys, yaml

name = sys.argv[1]
params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
out = pathlib.Path("models", "candidates/all.json" if name == "train" else f"{name}/model.onnx")
made = params["models"]
if name != "train":
    candidates = json.loads(pathlib.Path("models/candidates/all.json").read_text())
    made = {"evaluate": params["evaluate"], "models": candidates}
    pathlib.Path("metrics").mkdir(exist_ok=True)
    pathlib.Path(f"metrics/{name}.json").write_text(json.dumps(made, indent=2))
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(made, indent=2))
"""

ALPHA = "  ridge:\n    alpha: "


class Clone(Project):
    """A clone of the team's repository."""

    def sh(self, block: str, *, check: bool = True) -> str:
        return self.run("bash", "-euc", block, check=check)

    def change(self, old: str, new: str) -> None:
        """Change a param, reproduce, commit."""
        self.set(old, new)
        self.dvc("repro", "--quiet")
        self.git("commit", "--quiet", "--all", "--message", f"Set{new}")

    def push(self) -> None:
        self.dvc("push", "--quiet")
        self.git("push", "--quiet", "origin", "main")

    def follow(self) -> None:
        """Take over the state of the team, without work of its own."""
        self.git("pull", "--quiet", "--ff-only")
        self.dvc("pull", "--quiet")

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def conflicts(self) -> set[str]:
        return set(self.sh(LISTED).split())

    def check_whole(self) -> None:
        """All is committed, and DVC has nothing to do."""
        assert self.git("status", "--porcelain") == ""
        assert "up to date" in self.dvc("status")

    def check_same_anew(self) -> None:
        """The lock is the one that these params make, whatever was there before."""
        self.dvc("repro", "--force", "--quiet")
        self.check_whole()


@pytest.fixture(scope="module")
def _team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clones in the same state, their git remote and that of DVC, which is verified."""
    here = tmp_path_factory.mktemp("team")
    first = here / "first"
    first.mkdir()
    for name, text in {"dvc.yaml": PIPELINE, "make.py": MAKE}.items():
        (first / name).write_text(text, encoding="utf-8")
    for name in ("params.yaml", ".gitattributes"):
        shutil.copy(ROOT / name, first)
    Project(here).git("init", "--quiet", "--bare", "--initial-branch=main", "team.git")
    one = Clone(first)
    one.git("init", "--quiet", "--initial-branch=main")
    one.git("remote", "add", "origin", "../team.git")
    one.dvc("init", "--quiet")
    one.dvc("remote", "add", "--quiet", "--default", "team", "../storage")
    one.dvc("remote", "modify", "--quiet", "team", "verify", "true")
    one.dvc("repro", "--quiet")
    one.git("add", "--all")
    author = ("-c", "user.name=Tests", "-c", "user.email=tests@example.org")
    one.git(*author, "commit", "--quiet", "--message=First")
    one.dvc("push", "--quiet")
    one.git("push", "--quiet", "--set-upstream", "origin", "main")
    Project(here).git("clone", "--quiet", "team.git", "second")
    two = Clone(here / "second")
    two.git("remote", "set-url", "origin", "../team.git")
    two.dvc("pull", "--quiet")
    for clone in (one, two):
        clone.git("config", "user.name", "Tests")
        clone.git("config", "user.email", "tests@example.org")
    return here


@pytest.fixture
def clones(_team: Path, tmp_path: Path) -> tuple[Clone, Clone]:
    """These two, for one test to change."""
    here = copied(_team, tmp_path / "team").folder
    return Clone(here / "first"), Clone(here / "second")


@pytest.mark.slow
def test_the_page_merges_what_two_clones_changed(clones: tuple[Clone, Clone]) -> None:
    one, two = clones
    one.change(f"{ALPHA}10.0", f"{ALPHA}2.0")
    one.push()
    two.change("  level: 0.9", "  level: 0.8")

    # No hunks, even where they are asked for.
    lock = two.read("dvc.lock")
    two.git("fetch", "--quiet")
    two.git("merge", "--quiet", "--no-commit", "--strategy-option=ours", "origin/main")
    assert two.read("dvc.lock") == lock
    two.git("merge", "--abort")

    # The merge stops, with one side whole.
    printed = two.sh(MERGE, check=False)
    (block,) = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        assert line in printed.splitlines()
    assert two.conflicts() == {"dvc.lock", "metrics/short.json", "metrics/long.json"}
    assert two.read("dvc.lock") == lock
    assert f"{ALPHA}2.0" in two.read("params.yaml")
    assert "  level: 0.8" in two.read("params.yaml")
    other = Clone(two.folder.with_name("other"))
    shutil.copytree(two.folder, other.folder)
    assert "Running stage 'train'" in two.sh(FINISH)
    two.check_same_anew()
    assert '"alpha": 2.0' in two.read("metrics/short.json")
    assert '"level": 0.8' in two.read("metrics/short.json")
    assert len(two.git("rev-list", "--parents", "--max-count=1", "HEAD").split()) == 3

    # The other side of dvc.lock leads to the same bytes, and trains nothing.
    other.sh(THEIRS)
    assert other.read("dvc.lock") == one.read("dvc.lock")
    assert "'train' didn't change" in other.dvc("repro")
    other.git("commit", "--quiet", "--all", "--no-edit")
    assert other.git("rev-parse", "HEAD^{tree}") == two.git("rev-parse", "HEAD^{tree}")

    one.follow()
    one.check_whole()

    both_change_the_same_param(one, two)
    one.git("pull", "--quiet", "--ff-only")
    one_side_takes_out_a_horizon(one, two)


def both_change_the_same_param(one: Clone, two: Clone) -> None:
    one.change(f"{ALPHA}2.0", f"{ALPHA}3.0")
    one.push()
    two.change(f"{ALPHA}2.0", f"{ALPHA}4.0")
    two.sh(MERGE, check=False)
    assert "params.yaml" in two.conflicts()
    lock = two.read("dvc.lock")
    refused = two.sh(FINISH, check=False)
    assert "params.yaml" in refused
    assert "Running stage" not in refused
    assert two.read("dvc.lock") == lock
    assert "params.yaml" in two.conflicts()
    chosen = re.sub(
        r"^<{7}.*?^={7}\n(.*?)^>{7}.*?\n",
        r"\1",
        two.read("params.yaml"),
        flags=re.MULTILINE | re.DOTALL,
    )
    (two.folder / "params.yaml").write_text(chosen, encoding="utf-8")
    two.sh(FINISH)
    two.check_whole()
    assert '"alpha": 3.0' in two.read("metrics/short.json")


def one_side_takes_out_a_horizon(one: Clone, two: Clone) -> None:
    one.set("  long: 63\n", "")
    one.git("rm", "--quiet", "metrics/long.json")
    one.dvc("repro", "--quiet")
    one.git("commit", "--quiet", "--all", "--message=No long horizon")
    one.push()
    two.change("  level: 0.8", "  level: 0.7")
    printed = two.sh(MERGE, check=False)
    assert "CONFLICT (modify/delete): metrics/long.json" in printed
    two.sh(GONE)
    two.sh(FINISH)
    two.check_whole()
    assert not (two.folder / "metrics" / "long.json").exists()


@pytest.mark.slow
def test_hunks_of_two_locks_would_pass_for_a_run(clones: tuple[Clone, Clone]) -> None:
    one, two = clones
    (one.folder / ".gitattributes").unlink()
    one.git("commit", "--quiet", "--all", "--message=As before these lines")
    one.git("push", "--quiet", "origin", "main")
    two.git("pull", "--quiet", "--ff-only")
    one.change("    num_leaves: 4", "    num_leaves: 5")
    one.push()
    two.change("    max_depth: 2", "    max_depth: 3")
    two.git("fetch", "--quiet")
    two.git("merge", "--quiet", "--no-edit", "--strategy-option=ours", "origin/main")
    # What the page warns of: nothing would ever train this model anew.
    assert "'train' didn't change" in two.dvc("repro")
    assert "num_leaves: 5" in two.read("params.yaml")
    assert '"num_leaves": 4' in two.read("models/short/model.onnx")

    # Marks in the lock, and the way back from them.
    two.git("reset", "--quiet", "--hard", "ORIG_HEAD")
    two.sh(MERGE, check=False)
    assert "<<<<<<<" in two.read("dvc.lock")
    assert "dvc.lock" in two.dvc("repro", check=False)
    two.sh(OURS)
    two.sh(FINISH)
    two.check_same_anew()
    assert '"num_leaves": 5' in two.read("models/short/model.onnx")
