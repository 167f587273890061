"""Decisions about models, and where each put one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl
from sqlalchemy import Connection

from dashboard.charts import time_bars
from monitor.retraining.decisions import FOLDER, Decision, newest, parse
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.common import tables

MOST: Final = 200
"""Decisions that are listed, the newest."""

PLACES: tables.Contract = {
    "created_at": tables.UTC,
    "horizon": pl.String,
    "place": pl.String,
    "version": pl.String,
    "commit": pl.String,
    "model_md5": pl.String,
    "decision_id": pl.String,
}
GATES: tables.Contract = {
    "horizon": pl.String,
    "gate": pl.String,
    "answer": pl.String,
    "effect": pl.Float64,
    "": pl.String,
    "threshold": pl.Float64,
    "why": pl.String,
}
ANSWERS: Final = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}


@dataclass(frozen=True)
class Stored:
    """What the tables have.

    Attributes:
        decisions: the newest first.
        places: where models were put, oldest first; see `PLACES`.
    """

    decisions: tuple[Decision, ...]
    places: pl.DataFrame


def stored(connection: Connection, _: Settings) -> Stored:
    """Read the tables."""
    rows = [{name: row[name] for name in PLACES} for row in records.places(connection)]
    return Stored(
        tuple(newest(connection, MOST)),
        pl.DataFrame(rows, schema=PLACES),
    )


def of_files(root: Path) -> Stored:
    """The same from `decisions/`, while the database is away; refusals have no file.

    Raises:
        MonitorError: a file cannot be read.
    """
    decisions = tuple(map(_of_file, _files(root)[:MOST]))
    return Stored(decisions, pl.DataFrame(schema=PLACES))


def newest_of_files(root: Path) -> Decision | None:
    """The newest decision in `decisions/`; None if nothing was decided.

    Raises:
        MonitorError: its file cannot be read.
    """
    return next(map(_of_file, _files(root)), None)


def _files(root: Path) -> list[Path]:
    """The newest first: a name begins with its time."""
    return sorted((root / FOLDER).glob("*.json"), reverse=True)


def _of_file(path: Path) -> Decision:
    try:
        return parse(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError):
        raise MonitorError(
            f"{path}: cannot be read as a decision; `git checkout {path}` brings it back"
        ) from None


def gates(decision: Decision) -> pl.DataFrame:
    """Every gate of a decision with its number and its answer; see `GATES`."""
    rows = [
        (
            horizon,
            gate["name"],
            ANSWERS.get(gate["answer"], gate["answer"]),
            gate["effect"],
            gate["direction"],
            gate["threshold"],
            gate["sentence"],
        )
        for horizon, each in decision.document.get("gates", {}).items()
        for gate in each
    ]
    return pl.DataFrame(rows, schema=GATES, orient="row")


def followed(decision: Decision, known: Stored) -> list[str]:
    """What came of a decision, in sentences, oldest first."""
    history = decision.document.get("history", ())
    sentences = [f"{each['outcome']} until {each['until']}: {each['because']}" for each in history]
    own = known.places.filter(pl.col("decision_id") == decision.id)
    sentences += [
        f"{row['horizon']}: model {row['model_md5'][:8]} of commit {row['commit'][:7]}"
        f"{' as ' + row['version'] if row['version'] else ''} was put into {row['place']}"
        f" ({row['created_at']:%Y-%m-%d %H:%M} UTC)"
        for row in own.iter_rows(named=True)
    ]
    later = [each for each in known.decisions if each.created_at > decision.created_at]
    if later:
        after = later[-1]
        sentences.append(f"next decision: {after.id}, {after.outcome}: {after.because}")
    return sentences


def production(places: pl.DataFrame, end: datetime) -> pl.DataFrame:
    """The spans of models in production, and the moments of all other places: `time_bars.SPANS`."""
    following = pl.col("created_at").shift(-1).over("horizon", "place")
    is_serving = pl.col("place") == "production"
    says = pl.concat_str(
        pl.lit("model "),
        pl.col("model_md5").str.head(8),
        pl.lit(" "),
        pl.col("version").fill_null(""),
        pl.lit(" by "),
        pl.col("decision_id").fill_null("a person"),
    )
    return places.select(
        row=pl.concat_str("horizon", pl.lit(" "), "place"),
        begin="created_at",
        end=pl.when(is_serving).then(following.fill_null(end)).otherwise("created_at"),
        kind="place",
        says=says,
    ).sort("row", "begin")


def timeline(decisions: Sequence[Decision]) -> pl.DataFrame:
    """Decisions as moments: `time_bars.SPANS`."""
    rows = [
        (each.reason, each.created_at, each.created_at, each.outcome, f"{each.id}: {each.because}")
        for each in decisions
    ]
    return pl.DataFrame(rows, schema=time_bars.SPANS, orient="row")
