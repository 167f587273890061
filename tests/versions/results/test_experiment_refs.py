"""Experiments that git alone has made, read back by git alone."""

from pathlib import Path

import pytest
import yaml

from tests.dashboard.evaluated import add_experiments, evaluated
from tests.histories import Repository
from tests.projects import ROOT
from versions.results import experiment_refs, known_revisions
from versions.values import flat


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return evaluated(tmp_path / "project")


def read(repository: Repository) -> list[experiment_refs.Experiment]:
    return experiment_refs.read(known_revisions.listed(repository.folder), repository.folder)


def test_params_and_scores_of_each(repository: Repository) -> None:
    add_experiments(repository, 3)
    experiments = read(repository)
    assert [each.revision.name for each in experiments] == [
        "trial-0000",
        "trial-0001",
        "trial-0002",
    ]
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    del params["search"]
    assert experiments[2].params == {**flat(params), "models.ridge.alpha": 2.5}
    assert experiments[2].scores["short"]["fold_oos_r2"] == 2e-6
    assert set(experiments[2].scores) == {"short", "long"}


def test_without_experiments_there_are_none(repository: Repository) -> None:
    assert read(repository) == []


def test_sections_that_lean_on_each_other_are_read_together(repository: Repository) -> None:
    def leaning(number: int, text: str) -> str:
        del text
        return f"base: &base {{alpha: {number}}}\nmodels:\n  ridge: *base\nhorizons: {{short: 1}}\n"

    add_experiments(repository, 2, leaning)
    assert [each.params["models.ridge.alpha"] for each in read(repository)] == [0, 1]


def test_a_file_that_is_no_yaml_has_no_params(repository: Repository) -> None:
    add_experiments(repository, 1, lambda _, text: f"<<<<<<< ours\n{text}\n: {{")
    (experiments,) = read(repository)
    assert experiments.params == {}
    assert experiments.scores == {}


def test_what_waits_and_what_failed_is_counted(repository: Repository) -> None:
    assert experiment_refs.waiting(repository.folder) == (0, 0)
    for number in range(3):
        stashed = repository.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", str(number))
        repository.git(
            *("update-ref", "--create-reflog", "-m", "queued", "refs/exps/celery/stash", stashed)
        )
    assert experiment_refs.waiting(repository.folder) == (3, 0)
