"""The audit trail: every row that the monitor wrote, in `var/audit/`, one Parquet file a day.

It is only added to. `replay` gives the rows of the tables back, so that a lost database is no loss
of history. A day's file is small: it is written anew with each addition, whole or not at all.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from monitor.settings import MonitorError
from stages.common import tables
from stages.common.errors import StageError

CONTRACT: tables.Contract = {
    "at": tables.UTC,
    "table": pl.String,
    "key": pl.String,
    "row": pl.String,
}
"""When a row was written, its table, its primary key, and the whole row as JSON."""

RUNS = "pipeline_runs"
"""What Pipeline Control started, stopped and asked; only the trail has it, no table."""

FILES = "????-??-??.parquet"


class Entry(NamedTuple):
    """A row of a table as it was written.

    Attributes:
        table: its name.
        key: the value of its primary key.
        row: by column, in values of JSON.
    """

    table: str
    key: str
    row: Mapping[str, Any]


def append(folder: Path, entries: Sequence[Entry], at: datetime) -> None:
    """Add entries to the file of a day; they are on the disk when this returns.

    If the clock was set back they go into the newest file, so that files and rows stay in the order
    in which they were written.

    Args:
        folder: of the trail.
        entries: in the order in which they were written.
        at: the moment of all of them, in UTC.

    Raises:
        MonitorError: the file is there and cannot be read.
    """
    if not entries:
        return
    new = pl.DataFrame(
        [
            {
                "at": at,
                "table": entry.table,
                "key": entry.key,
                "row": json.dumps(entry.row, sort_keys=True),
            }
            for entry in entries
        ],
        schema=dict(CONTRACT),
    )
    with _locked(folder):
        path = max([folder / f"{at:%Y-%m-%d}.parquet", *folder.glob(FILES)])
        former = [_read(path)] if path.exists() else []
        with tables.replacing(path) as partial:
            with tables.Writer(partial) as writer:
                writer.append(pl.concat([*former, new]))
            with partial.open("rb") as file:
                os.fsync(file.fileno())


def replay(folder: Path) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The last state of every row, by table and key, in the order in which rows were first written.

    Raises:
        MonitorError: a file of the trail cannot be read.
    """
    last: dict[str, dict[str, Mapping[str, Any]]] = {}
    for path in sorted(folder.glob(FILES)):
        for table, key, row in _read(path).select("table", "key", "row").iter_rows():
            last.setdefault(table, {})[key] = json.loads(row)
    return last


def _read(path: Path) -> pl.DataFrame:
    try:
        return tables.conform(tables.read(path), CONTRACT, str(path))
    except StageError as error:
        raise MonitorError(
            f"the audit trail is damaged: {error}; bring the file back from a backup, or move it "
            "away: what it held is then only in the tables"
        ) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
