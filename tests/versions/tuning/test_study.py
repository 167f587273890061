"""A study with a cheap objective: proposals, stored trials, failures, and how it goes on."""

import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.projects import ROOT
from versions.tuning import space
from versions.tuning.study import Study, best, search
from versions.tuning.trial import Trial

SPACE: space.Space = {
    "features.sma": space.choices(choices=[[5, 20], [7, 21], []]),
    "models.ridge.alpha": space.numbers(low=0.01, high=100.0, log=True),
    "models.xgboost.max_depth": space.integers(low=2, high=6),
}


class Killed(BaseException):
    """What ends a process without a word."""


def skill(values: Mapping[str, Any]) -> float:
    """Best at alpha 10 and depth 4."""
    return -((math.log10(values["models.ridge.alpha"]) - 1) ** 2) - float(
        (values["models.xgboost.max_depth"] - 4) ** 2
    )


class Runs:
    """Stands for DVC: counts what is run, and dies where it is told to."""

    def __init__(self, *, dies_at: int | None = None) -> None:
        self.values: dict[int, Mapping[str, Any]] = {}
        self._dies_at = dies_at

    def __call__(self, trials: Sequence[Trial]) -> list[Trial]:
        return [self.run(trial) for trial in trials]

    def run(self, trial: Trial) -> Trial:
        if trial.number == self._dies_at:
            raise Killed
        assert trial.number not in self.values
        self.values[trial.number] = trial.values
        if trial.values["features.sma"] == []:
            return replace(trial, reason="features.sma: is empty")
        return replace(trial, value=skill(trial.values))


def study(folder: Path, entries: space.Space = SPACE, seed: int = 0) -> Study:
    return Study(folder / "study.journal", entries, seed)


def silent(_: str) -> None:
    pass


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_an_interrupted_study_proposes_what_an_uninterrupted_one_does(
    tmp_path: Path, jobs: int
) -> None:
    whole = Runs()
    done = search(study(tmp_path / "whole"), 25, whole, silent, jobs)
    assert len(done) == 25

    parts: dict[int, Mapping[str, Any]] = {}
    for dies_at in (0, 7, 13, 13):
        part = Runs(dies_at=dies_at)
        with pytest.raises(Killed):
            search(study(tmp_path / "parts"), 25, part, silent, jobs)
        # What the round had run already is found by its name: here it runs again, the same.
        parts |= part.values
    last = Runs()
    ended = search(study(tmp_path / "parts"), 25, last, silent, jobs)
    assert [trial.values for trial in ended] == [trial.values for trial in done]
    assert [trial.value for trial in ended] == [trial.value for trial in done]
    assert parts | last.values == whole.values


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_longer_study_begins_with_the_trials_of_a_shorter_one(tmp_path: Path, jobs: int) -> None:
    short, more, long = Runs(), Runs(), Runs()
    search(study(tmp_path / "a"), 11, short, silent, jobs)
    search(study(tmp_path / "a"), 15, more, silent, jobs)
    search(study(tmp_path / "b"), 15, long, silent, jobs)
    assert short.values | more.values == long.values


def test_as_many_trials_run_at_the_same_time_as_jobs(tmp_path: Path) -> None:
    rounds: list[int] = []

    def run(trials: Sequence[Trial]) -> list[Trial]:
        rounds.append(len(trials))
        return [replace(trial, value=skill(trial.values)) for trial in trials]

    entries = {key: entry for key, entry in SPACE.items() if key != "features.sma"}
    search(study(tmp_path, entries), 8, run, silent, 3)
    assert rounds == [3, 3, 2]


def test_another_seed_proposes_other_trials(tmp_path: Path) -> None:
    first, second = Runs(), Runs()
    search(study(tmp_path / "a"), 5, first, silent)
    search(study(tmp_path / "b", seed=1), 5, second, silent)
    assert first.values != second.values


def test_it_learns_from_its_trials(tmp_path: Path) -> None:
    entries = {key: entry for key, entry in SPACE.items() if key != "features.sma"}
    done = search(
        study(tmp_path, entries),
        30,
        lambda trials: [replace(trial, value=skill(trial.values)) for trial in trials],
        silent,
    )
    values = [trial.value or 0.0 for trial in done]
    assert sum(values[20:]) > sum(values[:10]) / 2
    assert best(done)[0].values["models.xgboost.max_depth"] == 4
    assert 3 < best(done)[0].values["models.ridge.alpha"] < 30


def test_values_are_short_numbers_within_their_range(tmp_path: Path) -> None:
    entries: space.Space = {
        "a": space.numbers(low=1 / 3, high=2 / 3),
        "b": space.integers(low=1, high=1000, log=True),
        "c": space.numbers(low=0.0, high=1.0, step=0.25),
    }
    done = search(
        study(tmp_path, entries),
        30,
        lambda trials: [replace(trial, value=0.0) for trial in trials],
        silent,
    )
    for one in done:
        a, b, c = one.values.values()
        assert 1 / 3 <= a <= 2 / 3
        assert a in {1 / 3, 2 / 3} or a == round(a, 4)
        assert isinstance(b, int)
        assert c in {0.0, 0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_was_tried_is_not_run_again(tmp_path: Path, jobs: int) -> None:
    entries: space.Space = {"n": space.choices(choices=[1, 2, 3])}
    ran: list[Any] = []
    lines: list[str] = []

    def run(trials: Sequence[Trial]) -> list[Trial]:
        ran.extend(trial.values["n"] for trial in trials)
        return [replace(trial, value=float(trial.number)) for trial in trials]

    done = search(study(tmp_path, entries), 8, run, lines.append, jobs)
    assert len(done) == len(lines) == 8
    assert sorted(ran) == sorted(set(ran))
    assert any("(as trial 0)" in line for line in lines)


def test_a_failed_trial_is_told_with_its_line_and_the_search_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    done = search(study(tmp_path), 12, Runs(), lines.append)
    failed = [trial for trial in done if trial.value is None]
    assert failed
    assert all(trial.reason == "features.sma: is empty" for trial in failed)
    assert sum("failed" in line and "features.sma: is empty" in line for line in lines) == len(
        failed
    )
    stored = study(tmp_path).finished()
    assert [trial.value for trial in stored] == [trial.value for trial in done]
    assert all(trial.value is not None for trial in best(done))


def test_a_search_of_failures_ends_early(tmp_path: Path) -> None:
    ran: list[int] = []

    def run(trials: Sequence[Trial]) -> list[Trial]:
        ran.extend(trial.number for trial in trials)
        return [replace(trial, reason="models.ridge.alpha: is wrong") for trial in trials]

    done = search(study(tmp_path), 20, run, silent)
    assert ran == [0, 1, 2]
    assert [trial.reason for trial in done] == ["models.ridge.alpha: is wrong"] * 3
    assert best(done) == []


def test_what_a_power_failure_tore_does_not_lose_the_trials_before(tmp_path: Path) -> None:
    done = search(study(tmp_path), 3, Runs(), silent)
    with (tmp_path / "study.journal").open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"0')
    stored = study(tmp_path).finished()
    assert [trial.value for trial in stored] == [trial.value for trial in done]


KILLED_WHILE_IT_BEGINS = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from versions.tuning import space
from versions.tuning.study import Study

study = Study(Path(sys.argv[1]), {"a": space.numbers(low=0.0, high=1.0)}, 0)
for number in range(3):
    (trial,) = study.next(3)
    assert trial.number == number
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    study.end(replace(trial, value=1.0))
"""


def test_a_killed_process_leaves_its_trial_to_be_run_again(tmp_path: Path) -> None:
    entries: space.Space = {"a": space.numbers(low=0.0, high=1.0)}
    path = tmp_path / "study.journal"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_BEGINS, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -9
    left = study(tmp_path, entries)
    assert [trial.number for trial in left.finished()] == [0, 1]
    (begun,) = left.next(3)
    assert begun.number == 2
    assert left.next(3) == [begun]
