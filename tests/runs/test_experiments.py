"""Experiments on the real sample: one, a queue, and their comparison."""

import json

import pytest

from tests.projects import Project

pytestmark = pytest.mark.slow


def rows(project: Project) -> dict[str, dict[str, object]]:
    """Experiments by name, as `dvc exp show` has them."""
    shown = json.loads(project.dvc("exp", "show", "--json"))
    found = {}
    for baseline in shown:
        for experiment in baseline["experiments"] or []:
            revision = experiment["revs"][-1]
            found[experiment["name"]] = revision["data"]
    return found


def test_one_experiment(project: Project) -> None:
    project.dvc("exp", "run", "--name", "averages", "--set-param", "features.sma=[5,20]")
    data = rows(project)["averages"]
    assert data["params"]["params.yaml"]["data"]["features"]["sma"] == [5, 20]  # type: ignore[index]
    assert "oos_r2" in data["metrics"]["metrics/short.json"]["data"]  # type: ignore[index]
    difference = project.dvc("metrics", "diff", "HEAD", "averages")
    assert "metrics/short.json" in difference


@pytest.mark.timeout(900)
def test_a_queue_of_three_on_a_fresh_checkout(fresh: Project) -> None:
    # Each experiment makes everything from nothing; a small forest keeps that short.
    fresh.set("n_estimators: 100", "n_estimators: 5")
    fresh.git("commit", "--quiet", "--no-verify", "--all", "--message=A small forest")
    for alpha in (0.1, 1.0, 10.0):
        fresh.dvc(
            "exp", "run", "--queue", "--name", f"alpha-{alpha}", "-S", f"models.ridge.alpha={alpha}"
        )
    fresh.dvc("exp", "run", "--run-all")
    found = rows(fresh)
    assert set(found) == {"alpha-0.1", "alpha-1.0", "alpha-10.0"}
    for alpha in (0.1, 1.0, 10.0):
        data = found[f"alpha-{alpha}"]
        assert data["params"]["params.yaml"]["data"]["models"]["ridge"]["alpha"] == alpha  # type: ignore[index]
        assert "oos_r2" in data["metrics"]["metrics/long.json"]["data"]  # type: ignore[index]
    table = fresh.dvc("exp", "show", "--csv")
    assert "metrics/short.json:oos_r2" in table
