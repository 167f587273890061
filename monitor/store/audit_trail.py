"""The audit trail: every row that the monitor wrote, in `var/audit/`, one Parquet file a day.

It is only added to. `replay` gives the rows of the tables back, so that a lost database is no loss
of history. A day's file is small: it is written anew with each addition, whole or not at all.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from stages.common import tables

CONTRACT: tables.Contract = {
    "at": tables.UTC,
    "table": pl.String,
    "key": pl.String,
    "row": pl.String,
}
"""When, of which table, the primary key, and the whole row as JSON, as it was from then on."""


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
    """Add entries to the file of a day; it is on the disk when this returns.

    Args:
        folder: of the trail.
        entries: in the order in which they were written.
        at: the moment of all of them, in UTC.
    """
    if not entries:
        return
    path = folder / f"{at:%Y-%m-%d}.parquet"
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
        former = [tables.read(path)] if path.exists() else []
        tables.write(pl.concat([*former, new]), path)


def replay(folder: Path) -> dict[str, dict[str, Mapping[str, Any]]]:
    """The last state of every row, by table and key, in the order in which rows were first written.

    Raises:
        InputError: a file of the trail cannot be read.
    """
    last: dict[str, dict[str, Mapping[str, Any]]] = {}
    for path in sorted(folder.glob("*.parquet")):
        for table, key, row in tables.read(path).select("table", "key", "row").iter_rows():
            last.setdefault(table, {})[key] = json.loads(row)
    return last


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
