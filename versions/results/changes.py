"""What a run changed: rows, scores and quality, against those of the last commit.

Everything is read from `metrics/`, which is in git, so the data of the commit may be missing.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.paths import METRICS
from versions.repository import git
from versions.results import revision_files

SCORES = ("mae", "rmse", "oos_r2", "fold_oos_r2", "auc", "coverage")
"""The scores of a horizon that are compared."""


class Pair(NamedTuple):
    """A value at the commit and now; None where it is missing."""

    before: Any
    after: Any


@dataclass(frozen=True)
class Results:
    """The results of one revision.

    Attributes:
        clean: as in `metrics/clean.json`.
        newest: the newest session by symbol.
        scores: as in `metrics/<horizon>.json`, by horizon.
        quality: percent of expectations met, and the names of those that failed, by table.
    """

    clean: Mapping[str, Any]
    newest: Mapping[str, str]
    scores: Mapping[str, Mapping[str, float | None]]
    quality: Mapping[str, tuple[float, tuple[str, ...]]]


def committed(horizons: Sequence[str]) -> Results:
    """The results of the last commit; empty if it has none."""
    return _results(horizons, lambda path: git.content("HEAD", path) or b"")


def present(horizons: Sequence[str]) -> Results:
    """The results of the working tree.

    Raises:
        InputError: the pipeline has not run.
    """
    return _results(horizons, revision_files.present)


def _results(horizons: Sequence[str], read: Callable[[Path], bytes]) -> Results:
    def content(path: Path) -> Any:
        return json.loads(read(path) or "{}")

    newest: dict[str, str] = {}
    for horizon in horizons:
        text = read(METRICS / horizon / "forecasts.csv").decode("utf-8")
        for row in csv.DictReader(io.StringIO(text)):
            newest[row["symbol"]] = row["date"]
    tables = {
        **content(METRICS / "validation.json").get("tables", {}),
        **{
            f"dataset {horizon}": content(METRICS / "validation_datasets" / f"{horizon}.json")
            for horizon in horizons
        },
    }
    return Results(
        clean=content(METRICS / "clean.json"),
        newest=newest,
        scores={horizon: content(METRICS / f"{horizon}.json") for horizon in horizons},
        quality={
            name: (table["quality"], tuple(map(_failure, table["failed"])))
            for name, table in tables.items()
            if table
        },
    )


def _failure(failed: Mapping[str, Any]) -> str:
    column = failed["kwargs"].get("column")
    return f"{failed['type']} of {column or failed['table']}"


def rows(before: Results, after: Results) -> dict[tuple[str, str], dict[str, Pair]]:
    """The bars of every kind and symbol, now or at the commit, in the order of `clean.json`.

    `read`, `kept` and `rejected` are numbers of bars; `newest` is the newest session with a
    forecast, None for a market series.
    """
    former, new = _rows(before), _rows(after)
    return {
        key: {
            name: Pair(former.get(key, {}).get(name), new.get(key, {}).get(name))
            for name in ("read", "kept", "rejected", "newest")
        }
        for key in dict.fromkeys([*new, *former])
    }


def _rows(results: Results) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (row["kind"], row["symbol"]): {
            **row,
            "rejected": sum(row["rejected"].values()),
            "newest": None if row["kind"] == "market" else results.newest.get(row["symbol"]),
        }
        for row in results.clean.get("symbols", ())
    }


def reasons(before: Results, after: Results) -> dict[str, Pair]:
    """How many bars were rejected, by reason, over all kinds."""
    former, new = _reasons(before), _reasons(after)
    return {reason: Pair(former[reason], new[reason]) for reason in sorted({*former, *new})}


def _reasons(results: Results) -> Counter[str]:
    totals = results.clean.get("totals", {}).values()
    return sum((Counter(total["rejected"]) for total in totals), Counter())


def scores(before: Results, after: Results) -> dict[tuple[str, str], Pair]:
    """The scores of each horizon, by horizon and name."""
    return {
        (horizon, name): Pair(before.scores.get(horizon, {}).get(name), values.get(name))
        for horizon, values in after.scores.items()
        for name in SCORES
    }


def quality(before: Results, after: Results) -> Iterable[tuple[str, Pair, tuple[str, ...]]]:
    """Each table, the percent of its expectations that are met, and those that now fail."""
    for name, (percent, failed) in after.quality.items():
        yield name, Pair(before.quality.get(name, (None, ()))[0], percent), failed
