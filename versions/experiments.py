"""Experiments side by side: `python -m versions.experiments [options of dvc exp show]`.

One row per experiment on the checked-out commit (`--num 3` for the last three, `--all-commits` for
all): its state, a few scores of each horizon, and the params that differ. Choose by `fold R2`
(fold_oos_r2 in metrics/): every other score is of the hold-out.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stages.common.errors import VersionError
from stages.common.paths import METRICS
from stages.common.running import run
from stages.common.sections import PARAMS_FILE
from versions import console
from versions.results.formats import Column, number
from versions.tuning.trial import reason
from versions.values import compact, flat

SCORES = (
    Column("fold_oos_r2", "fold R2", "+.5f"),
    Column("mae", "MAE %", "%.4f"),
    Column("auc", "AUC", ".3f"),
)
"""The scores shown of each horizon."""


@dataclass(frozen=True)
class Row:
    """An experiment, a commit or the workspace.

    Attributes:
        name: as `dvc exp apply` takes it.
        state: empty if it has ended well.
        scores: of each horizon, by (horizon, key of its metrics).
        params: by dotted key, without the `search` section.
    """

    name: str
    state: str
    scores: Mapping[tuple[str, str], float | None]
    params: Mapping[str, Any]


def rows(commits: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The rows of `dvc exp show --json`, experiments after the commit that they began from."""
    table_rows = []
    for commit in commits:
        revision = commit["rev"]
        short = revision if revision == "workspace" else revision[:7]
        table_rows.append(_row(commit["name"] or short, "", commit))
        for experiment in commit["experiments"] or ():
            last = experiment["revs"][-1]
            state = (experiment["executor"] or {}).get("state", "")
            name = experiment["name"] or last["rev"][:7]
            table_rows.append(_row(f"  {name}", "" if state == "success" else state, last))
    return table_rows


def _row(name: str, state: str, entry: Mapping[str, Any]) -> Row:
    data = entry["data"] or {}

    def content(kind: str, path: Path) -> Mapping[str, Any]:
        return ((data.get(kind) or {}).get(str(path)) or {}).get("data") or {}

    params = content("params", PARAMS_FILE)
    scores = {
        (horizon, column.name): value
        for horizon in params.get("horizons") or ()
        for column in SCORES
        if (value := content("metrics", METRICS / f"{horizon}.json").get(column.name)) is not None
    }
    varied = flat({key: section for key, section in params.items() if key != "search"})
    return Row(name, "error" if entry["error"] else state, scores, varied)


def table(rows: Sequence[Row], width: int) -> Table:
    """The rows, with as many scores of each horizon as fit into the width, and one at least."""
    return console.fitting(lambda count: scored(rows, SCORES[:count]), len(SCORES), width)


def scored(rows: Sequence[Row], scores: Sequence[Column]) -> Table:
    """The rows with some scores of each horizon, and the params that differ."""
    table = console.table("")
    table.add_column("experiment", no_wrap=True)
    states = any(row.state for row in rows)
    if states:
        table.add_column("state", no_wrap=True)
    horizons = dict.fromkeys(horizon for row in rows for horizon, _ in row.scores)
    for horizon in horizons:
        for column in scores:
            table.add_column(f"{horizon}\n{column.title}", justify="right", no_wrap=True)
    known = dict.fromkeys(key for row in rows for key in row.params)
    keys = [key for key in known if len({_text(row.params, key) for row in rows}) > 1]
    for key in keys:
        # A long key breaks where its section ends.
        table.add_column(key.replace(".", ".\n"), justify="right", no_wrap=True)
    for row in rows:
        cells = [
            number(row.scores.get((horizon, column.name)), column.format)
            for horizon in horizons
            for column in scores
        ]
        state = [row.state] if states else []
        table.add_row(row.name, *state, *cells, *(_text(row.params, key) for key in keys))
    return table


def _text(params: Mapping[str, Any], key: str) -> str:
    return compact(params[key]) if key in params else "-"


def read(options: Sequence[str]) -> list[Row]:
    """Ask DVC for the experiments.

    Raises:
        VersionError: it refuses.
    """
    done = subprocess.run(  # noqa: S603  # no shell
        [sys.executable, "-m", "dvc", "exp", "show", "--json", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise VersionError(f"dvc exp show: {reason(done.stderr)}")
    return rows(json.loads(done.stdout))


def main() -> None:
    """Print the table."""
    experiments = read(sys.argv[1:])

    def show(screen: Console) -> None:
        screen.print(table(experiments, screen.width))
        screen.print("Choose by fold R2: every other score is of the hold-out.")

    console.page(show, console.WIDE)


if __name__ == "__main__":
    run(main)
