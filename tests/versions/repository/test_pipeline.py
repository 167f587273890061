"""The names of stages, against DVC's own, and what becomes of entries that DVC leaves behind."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.histories import Repository, lock_text
from versions.repository import commits, lock, pipeline, trace
from versions.repository.workspace import here

PIPELINE = """
vars:
- mine: {a: 1, b: 2}
stages:
  plain: {cmd: a}
  pairs:
    matrix: {horizon: "${horizons}", kind: [x, 2, 0.5]}
    cmd: a ${item.horizon} ${item.kind}
  keys:
    foreach: ${models.kept}
    do: {cmd: 'a ${key}'}
  items:
    foreach: [p, q]
    do: {cmd: 'a ${item}'}
  mappings:
    matrix: {each: [{a: 1}, {a: 2}]}
    cmd: a ${item.each.a}
  own:
    matrix: {each: "${mine}"}
    cmd: a ${item.each}
"""
PARAMS = "horizons: {short: 1, long: 63}\nmodels: {kept: {m: 1, n: 2}}\n"


def test_names_are_those_that_dvc_has(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    repo = Repo.init(str(tmp_path), no_scm=True)
    names = {stage.addressing.rpartition(":")[2] for stage in repo.index.stages}
    has = pipeline.names(*(pipeline.parse(text.encode()) for text in (PIPELINE, PARAMS)))
    assert len(names) == 1 + 6 + 2 + 2 + 2 + 2
    assert [name for name in names if not has(name)] == []
    for name in ("none", "pairs@week-x", "pairs@short-y", "pairs", "keys@o", "items@r", "plain@a"):
        assert not has(name), name


def test_without_a_pipeline_every_stage_counts() -> None:
    for text in (None, b"", b"a: [", b"stages: none"):
        assert pipeline.names(pipeline.parse(text), {})("any")


OLD, NEW = "a" * 32, "b" * 32


@pytest.fixture
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model `old` that has left params, and whose entry in the lock has not."""
    repository = Repository(tmp_path)
    monkeypatch.chdir(tmp_path)

    def stage(name: str, outs: Mapping[str, str], deps: Mapping[str, str] | None = None) -> str:
        text = lock_text(outs, deps)
        return text[text.index("  train:") :].replace("train", name)

    folder = "models/candidates"
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train: {matrix: {model: '${models}'}, cmd: a}\n  evaluate: {cmd: a}\n"
    )
    (tmp_path / "params.yaml").write_text("models: {old: 1, new: 1}\n")
    repository.commit(
        "schema: '2.0'\nstages:\n"
        + stage("train@old", {f"{folder}/old": OLD})
        + stage("train@new", {f"{folder}/new": NEW})
        + stage("evaluate", {"models/model": "c" * 32}, {folder: "d" * 32}),
        "Both",
    )
    (tmp_path / "params.yaml").write_text("models: {new: 1}\n")
    repository.commit(None, "Without the old one")


def steps(whole: lock.Lock) -> set[str]:
    return {step.name for step in trace.trace(whole, "models/model").stages}


@pytest.mark.usefixtures("_repository")
def test_what_has_left_the_pipeline_is_no_part_of_a_lineage() -> None:
    assert steps(lock.at("HEAD~1")) == {"evaluate", "train@new", "train@old"}
    for whole in (lock.at("HEAD"), lock.read()):
        assert steps(whole) == {"evaluate", "train@new"}
        assert "models/candidates/old" not in whole.outs


@pytest.mark.usefixtures("_repository")
def test_params_that_are_ahead_of_the_lock_change_no_lineage() -> None:
    Path("params.yaml").write_text("models: {}\n")
    _, lineage, workspace = here("models/model")
    assert {step.name for step in lineage.stages} == {"evaluate", "train@new"}
    assert (workspace.lock_changed, workspace.changes) == (False, ("params.yaml",))


@pytest.mark.usefixtures("_repository")
def test_an_md5_is_found_where_it_was_still_made() -> None:
    def subjects(md5: str) -> list[str]:
        return [sighting.commit.subject for sighting in commits.search(md5).sightings]

    assert subjects(NEW) == ["Without the old one", "Both"]
    assert subjects(OLD) == ["Both"]
