"""Judge a challenger on every horizon, and pin what the judgement is made from.

The forecasts of the hold-out are pinned by the md5s of both commits, live rows by a copy, and
thresholds by value, so that computing the judgement again gives the same.
"""

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import Engine

from monitor.retraining import cached_outputs, contestant, gates, head_to_head, paired_rows
from monitor.retraining import retraining_conditions as conditions
from monitor.retraining.contestant import Contestant, Lane
from monitor.retraining.gates import Answer, Gate
from monitor.retraining.head_to_head import HeadToHead, Horizon, Measured
from monitor.retraining.paired_rows import LiveRows
from monitor.settings import MonitorError, Settings
from stages.common import tables
from stages.common.errors import few
from stages.common.paths import METRICS
from stages.forecast.session import Session
from stages.monitor_params import GateParams
from versions.repository import git
from versions.repository.workspace import digest

RUNS = 51
"""Times that a graph forecasts one row; the median counts."""

FILES = ("model.onnx", "card.json", "forecasts.parquet")


@dataclass(frozen=True)
class Match:
    """Who is compared.

    Attributes:
        champion, challenger: the commits.
        lane: found by comparing what made both.
        lead: the horizon that must be better in the lane `change`.
        because: what differs beside newer data, by horizon.
    """

    champion: Contestant
    challenger: Contestant
    lane: Lane
    lead: str
    because: Mapping[str, list[str]]


def match(champion: Contestant, challenger: Contestant, lead: str | None = None) -> Match:
    """Find out what kind of challenge it is.

    Raises:
        MonitorError: the horizons are not the same, or none has this name.
    """
    strange = {*champion.horizons.items()} ^ {*challenger.horizons.items()}
    if strange:
        raise MonitorError(
            f"horizons: {few(sorted({name for name, _ in strange}))} is not the same in champion "
            "and challenger, so there is nothing to compare; release it by hand (docs/releases.md)"
        )
    if lead is not None and lead not in champion.horizons:
        raise MonitorError(f"no horizon {lead!r}; there is {few(champion.horizons, 20)}")
    by_horizon = {
        name: contestant.differences(contestant.trained(champion, name), challenger, name)
        for name in champion.horizons
    }
    changed = [name for name, differences in by_horizon.items() if differences]
    first = next(iter([*changed, *champion.horizons]))
    return Match(champion, challenger, "change" if changed else "refit", lead or first, by_horizon)


@dataclass(frozen=True)
class Judgement:
    """Every gate of every horizon, and the numbers behind it."""

    comparisons: Mapping[str, HeadToHead]
    gates: Mapping[str, tuple[Gate, ...]]

    @property
    def answer(self) -> Answer:
        """That of all horizons together."""
        return gates.verdict(gate for each in self.gates.values() for gate in each)

    def of(self, answer: Answer) -> list[str]:
        """The gates with some answer, such as `short: brier (...)`."""
        return [
            f"{horizon}: {gate.name} ({gate.sentence})"
            for horizon, each in self.gates.items()
            for gate in each
            if gate.answer == answer
        ]

    def document(self) -> dict[str, Any]:
        """For the record of a decision."""
        return {
            "numbers": {name: each.numbers() for name, each in self.comparisons.items()},
            "gates": {name: [asdict(gate) for gate in each] for name, each in self.gates.items()},
        }


def judge(
    match: Match, windows: Mapping[str, "Pinned"], params: GateParams, root: Path
) -> Judgement:
    """Compare both on every horizon and answer every gate.

    Args:
        match: who is compared.
        windows: what was pinned of each horizon.
        params: the thresholds.
        root: of the project.
    """
    comparisons = {}
    for name, window in windows.items():
        sides = {
            side: cached_outputs.side(each, name)
            for side, each in (("champion", match.champion), ("challenger", match.challenger))
        }
        horizon = Horizon(name, match.champion.horizons[name], match.champion.level)
        comparisons[name] = head_to_head.compare(
            horizon, sides, window.rows, measured(match.challenger, name, window, root), params
        )
    superior = match.lead if match.lane == "change" else None
    return Judgement(
        comparisons,
        {
            name: gates.judge(each, params, superior=name == superior)
            for name, each in comparisons.items()
        },
    )


@dataclass(frozen=True)
class Pinned:
    """What a judgement of one horizon is made from, beside the two commits.

    Attributes:
        rows: live forecasts of both with labels (`paired_rows.LIVE`).
        due, labelled: live forecasts of the champion.
        inference_ms: as it was measured once.
    """

    rows: pl.DataFrame
    due: int
    labelled: int
    inference_ms: float | None

    def document(self, folder: Path) -> dict[str, Any]:
        """Keep a copy of the rows in a folder, and name it by its md5."""
        entry = {"due": self.due, "labelled": self.labelled, "inference_ms": self.inference_ms}
        if self.rows.is_empty():
            return {**entry, "rows": 0, "md5": None}
        path = folder / "new.parquet"
        tables.write(self.rows, path)
        md5 = digest(path)
        path.replace(folder / f"{md5}.parquet")
        return {**entry, "rows": self.rows.height, "md5": md5}

    @classmethod
    def read(cls, entry: Mapping[str, Any], folder: Path) -> "Pinned":
        """What `document` kept.

        Raises:
            MonitorError: the copy is lost or has changed.
        """
        rows = tables.empty(paired_rows.LIVE)
        if entry["md5"] is not None:
            path = folder / f"{entry['md5']}.parquet"
            if not path.exists() or digest(path) != entry["md5"]:
                raise MonitorError(
                    f"{path} is lost or has changed: the window cannot be read again"
                )
            rows = tables.read(path)
        return cls(rows, entry["due"], entry["labelled"], entry["inference_ms"])


def windows_folder(settings: Settings) -> Path:
    """Where copies of live rows are."""
    return settings.folder / "windows"


def windows(match: Match, engine: Engine, today: date) -> dict[str, Pinned]:
    """Read the live rows from the log and time the graph, for every horizon."""
    pinned = {}
    for name in match.champion.horizons:
        labels = conditions.labels(engine, name, today)
        md5s = (match.champion.md5(name), match.challenger.md5(name))
        after = max(match.champion.as_of(name), match.challenger.as_of(name))
        pinned[name] = Pinned(
            LiveRows(name, md5s, after, today).read(engine),
            labels.due,
            labels.labelled,
            inference_ms(cached_outputs.file(match.challenger, name, "model.onnx")),
        )
    return pinned


def measured(challenger: Contestant, horizon: str, window: Pinned, root: Path) -> Measured:
    """What the challenger's commit says of itself, and what was pinned."""

    def metric(path: Path, name: str) -> float | None:
        text = git.content(challenger.commit, path, root)
        value = None if text is None else json.loads(text).get(name)
        return float(value) if isinstance(value, int | float) else None

    graph = cached_outputs.file(challenger, horizon, "model.onnx")
    return Measured(
        due=window.due,
        labelled=window.labelled,
        oos_r2=metric(METRICS / f"{horizon}.json", "oos_r2"),
        quality=metric(METRICS / "validation.json", "quality"),
        inference_ms=window.inference_ms,
        graph_mb=graph.stat().st_size / 1e6,
    )


def inference_ms(graph: Path) -> float | None:
    """Median time of a forecast of one row; None if the graph does not run."""
    try:
        session = Session(graph)
        row, symbol = np.zeros((1, session.width), np.float32), np.zeros((1, 1), np.int64)
        times = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            session(row, symbol)
            times.append(time.perf_counter() - begin)
    except Exception:  # noqa: BLE001  # of the runtime, which has classes of its own
        return None
    return 1000 * statistics.median(times)


def document(match: Match, windows: Mapping[str, Pinned], settings: Settings) -> dict[str, Any]:
    """What pins a judgement, for the record of a decision."""

    def models(each: Contestant) -> dict[str, Any]:
        return {
            name: {file: each.md5(name, file) for file in FILES}
            | {"as_of": str(each.as_of(name)), "sessions": sessions}
            for name, sessions in each.horizons.items()
        }

    return {
        "lead": match.lead if match.lane == "change" else None,
        "differences": dict(match.because),
        "models": {"champion": models(match.champion), "challenger": models(match.challenger)},
        "windows": {
            name: window.document(windows_folder(settings)) for name, window in windows.items()
        },
    }
