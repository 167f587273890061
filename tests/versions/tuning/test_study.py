"""A study with an objective that costs nothing: what is proposed, kept, refused, gone on with."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.common.errors import StageError, VersionError
from versions.tuning import space, study
from versions.tuning.journal import Journal
from versions.tuning.study import best, search
from versions.tuning.trial import Outcome

SPACE: dict[str, space.Entry] = {
    "features.sma": space.Choices(choices=[[5, 20], [7, 21], []]),
    "models.ridge.alpha": space.Numbers(low=0.01, high=100.0, log=True),
    "models.xgboost.max_depth": space.Integers(low=2, high=6),
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

    def __call__(self, number: int, values: Mapping[str, Any]) -> Outcome:
        if number == self._dies_at:
            raise Killed
        assert number not in self.values
        self.values[number] = values
        if values["features.sma"] == []:
            return Outcome(None, "features.sma: is empty")
        return Outcome(skill(values))


def journal(folder: Path, entries: Mapping[str, space.Entry] = SPACE, seed: int = 0) -> Journal:
    return Journal(folder / "study.journal", space.distributions(entries), seed)


def silent(_: str) -> None:
    pass


def test_an_interrupted_study_proposes_what_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = Runs()
    done = search(journal(tmp_path / "whole"), SPACE, 25, whole, silent)
    assert len(done) == 25

    parts: dict[int, Mapping[str, Any]] = {}
    for dies_at in (0, 7, 13, 13):
        part = Runs(dies_at=dies_at)
        with pytest.raises(Killed):
            search(journal(tmp_path / "parts"), SPACE, 25, part, silent)
        assert parts.keys().isdisjoint(part.values)
        parts |= part.values
    last = Runs()
    assert search(journal(tmp_path / "parts"), SPACE, 25, last, silent) == done
    assert parts | last.values == whole.values


def test_a_longer_study_begins_with_the_trials_of_a_shorter_one(tmp_path: Path) -> None:
    short, more, long = Runs(), Runs(), Runs()
    search(journal(tmp_path / "a"), SPACE, 12, short, silent)
    search(journal(tmp_path / "a"), SPACE, 15, more, silent)
    search(journal(tmp_path / "b"), SPACE, 15, long, silent)
    assert short.values | more.values == long.values


def test_another_seed_proposes_other_trials(tmp_path: Path) -> None:
    first, second = Runs(), Runs()
    search(journal(tmp_path / "a"), SPACE, 5, first, silent)
    search(journal(tmp_path / "b", seed=1), SPACE, 5, second, silent)
    assert first.values != second.values


def test_it_learns_from_its_trials(tmp_path: Path) -> None:
    entries = {key: entry for key, entry in SPACE.items() if key != "features.sma"}
    done = search(
        journal(tmp_path, entries), entries, 30, lambda _, given: Outcome(skill(given)), silent
    )
    values = [one.trial.value or 0.0 for one in done]
    assert sum(values[20:]) > sum(values[:10]) / 2
    assert best(done)[0].values["models.xgboost.max_depth"] == 4
    assert 3 < best(done)[0].values["models.ridge.alpha"] < 30


def test_values_are_short_numbers_within_their_range(tmp_path: Path) -> None:
    entries: dict[str, space.Entry] = {
        "a": space.Numbers(low=1 / 3, high=2 / 3),
        "b": space.Integers(low=1, high=1000, log=True),
        "c": space.Numbers(low=0.0, high=1.0, step=0.25),
    }
    done = search(journal(tmp_path, entries), entries, 30, lambda *_: Outcome(0.0), silent)
    for one in done:
        a, b, c = one.values.values()
        assert 1 / 3 <= a <= 2 / 3
        assert a in {1 / 3, 2 / 3} or a == round(a, 4)
        assert isinstance(b, int)
        assert c in {0.0, 0.25, 0.5, 0.75, 1.0}


def test_overrides_are_what_dvc_takes() -> None:
    assert space.overrides({"a.b": [5, 20], "c": "per_symbol", "d": True, "e": 1e-06}) == [
        *("--set-param", "a.b=[5,20]", "--set-param", 'c="per_symbol"'),
        *("--set-param", "d=true", "--set-param", "e=1e-06"),
    ]


def test_what_was_tried_is_not_run_again(tmp_path: Path) -> None:
    entries: dict[str, space.Entry] = {"n": space.Choices(choices=[1, 2, 3])}
    ran: list[Any] = []
    said: list[str] = []

    def attempt(number: int, values: Mapping[str, Any]) -> Outcome:
        ran.append(values["n"])
        return Outcome(float(number))

    done = search(journal(tmp_path, entries), entries, 8, attempt, said.append)
    assert len(done) == 8
    assert sorted(ran) == sorted(set(ran))
    assert any("(as trial 0)" in line for line in said)


def test_a_failed_trial_is_noted_with_its_line_and_the_search_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    done = search(journal(tmp_path), SPACE, 12, Runs(), said.append)
    failed = [one for one in done if one.trial.value is None]
    assert failed
    assert all("features.sma: is empty" in one.trial.reason for one in failed)
    assert sum("failed: " in line for line in said) == len(failed)
    kept = journal(tmp_path).finished()
    assert [trial.reason for trial in kept] == [one.trial.reason for one in done]
    assert all(one.trial.value is not None for one in best(done))


def test_a_search_of_failures_ends_early(tmp_path: Path) -> None:
    ran: list[int] = []

    def attempt(number: int, _: Mapping[str, Any]) -> Outcome:
        ran.append(number)
        return Outcome(None, "models.ridge.alpha: is wrong")

    with pytest.raises(StageError) as error:
        search(journal(tmp_path), SPACE, 20, attempt, silent)
    assert ran == [0, 1, 2]
    assert str(error.value) == (
        "search: all 3 trials failed, the last with: models.ridge.alpha: is wrong; "
        "mend `search:` in params.yaml and commit it"
    )


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    done = search(journal(tmp_path), SPACE, 3, Runs(), silent)
    path = tmp_path / "study.journal"
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"0')
    assert journal(tmp_path).finished() == [one.trial for one in done]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"what\n", b'{"op_code":4}\n', b"[1]\n"])
def test_a_file_that_is_no_journal_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "study.journal").write_bytes(content)
    with pytest.raises(VersionError, match="cannot be read as a journal of Optuna"):
        journal(tmp_path)


def test_a_journal_of_another_space_is_refused(tmp_path: Path) -> None:
    search(journal(tmp_path), SPACE, 1, Runs(), silent)
    other = {**SPACE, "models.xgboost.max_depth": space.Integers(low=2, high=7)}
    with pytest.raises(VersionError, match="is of another space"):
        journal(tmp_path, other)


KILLED_WHILE_IT_BEGINS = """
import os, signal, sys
from pathlib import Path
from versions.tuning import space
from versions.tuning.journal import Journal

entries = {"a": space.Numbers(low=0.0, high=1.0)}
journal = Journal(Path(sys.argv[1]), space.distributions(entries), 0)
for number in range(3):
    trial = journal.next()
    assert trial.number == number
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    journal.tell(trial, 1.0)
"""


def test_a_killed_process_leaves_its_trial_to_be_run_again(tmp_path: Path) -> None:
    entries: dict[str, space.Entry] = {"a": space.Numbers(low=0.0, high=1.0)}
    path = tmp_path / "study.journal"
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_BEGINS, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(study.__file__).parents[2])},
        check=False,
    )
    assert done.returncode == -9
    left = journal(tmp_path, entries)
    assert [trial.number for trial in left.finished()] == [0, 1]
    begun = left.next()
    assert begun.number == 2
    assert json.dumps(begun.drawn) == json.dumps(left.next().drawn)
