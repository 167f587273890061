"""Where a file comes from: each stage from it back to the raw bars, with params and md5s.

    python -m versions.lineage models/short/model.onnx            the one of the working tree
    python -m versions.lineage models/short/model.onnx --rev v1   the one of another revision
    python -m versions.lineage --md5 1a2b3c4d                     the commits that have it

The path is any file or folder under data, models or metrics. The md5 is that of a card or of a
prediction; its first eight digits are enough. --all adds the params, code, inputs and outputs of
each stage. --json prints everything as JSON, in the form that docs/provenance.md describes. Only
git and dvc.lock are read; the data may be missing.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.common.errors import StageError, few
from stages.common.paths import METRICS
from stages.common.running import Parser, run
from versions import console
from versions.repository import commits
from versions.repository.commits import Commit, Matches
from versions.repository.lock import Entry
from versions.repository.trace import Lineage, Raw, Step
from versions.repository.workspace import State, Workspace, at, here
from versions.values import compact

SIGHTINGS = 20
"""The most commits that are shown for an md5; JSON has all."""

_SHORT = 8
"""Digits shown of the md5 of a module."""


def as_dict(commit: Commit, lineage: Lineage, workspace: Workspace | None = None) -> dict[str, Any]:
    """A lineage by the keys that docs/provenance.md describes."""
    return {
        **asdict(lineage),
        "commit": asdict(commit),
        "workspace": None if workspace is None else asdict(workspace),
    }


def show(
    screen: Console,
    commit: Commit,
    lineage: Lineage,
    workspace: Workspace | None = None,
    *,
    whole: bool = False,
) -> None:
    """Print a lineage: the file, then stage after stage, then the raw bars.

    Args:
        commit: that has the file.
        workspace: how the working tree differs from the commit; None for another revision.
        whole: show all that `dvc.lock` has of each stage, not one line.
    """
    head = _block(lineage.path)
    for entry in lineage.outputs:
        head.add_row("md5", _entry(entry))
    head.add_row("commit", _commit(commit))
    if workspace is not None:
        for label, text in _compared(workspace):
            head.add_row(label, text)
    if lineage.readers:
        head.add_row("input", f"no stage writes it; read by {few(lineage.readers)}")
    screen.print(head)
    if not lineage.stages:
        return
    screen.print()
    newest = {entry.path: entry.md5 for step in lineage.stages for entry in step.outs}
    if whole:
        for step in lineage.stages:
            screen.print(_step(step, newest))
            screen.print()
    else:
        screen.print(_summary(lineage.stages, newest))
        screen.print()
    if lineage.raw is not None:
        screen.print(_origin(lineage.raw, lineage.inputs, whole=whole))
    if not whole:
        screen.print("--all shows the params, code, inputs and outputs of each stage.")


def _block(title: str) -> Table:
    block = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    block.add_column(style="dim", no_wrap=True, min_width=len("command"))
    block.add_column(overflow="fold")
    return block


def _commit(commit: Commit) -> str:
    names = f" ({', '.join(commit.names)})" if commit.names else ""
    return f"{commit.id}{names}, {commit.date[:10]}, {commit.subject}"


def _compared(workspace: Workspace) -> Iterable[tuple[str, str]]:
    if workspace.lineage_changed:
        yield "lock", "not that of the commit: what follows is not committed"
    elif workspace.lock_changed:
        yield "lock", "not that of the commit, but what follows is the same there"
    else:
        yield "lock", "that of the commit"
    if workspace.changes:
        yield "changed", f"{few(workspace.changes)} (not committed)"
    for path, state in workspace.at_hand.items():
        yield "at hand", _state(path, state)


def _state(path: str, state: State) -> str:
    if state == "same":
        return "the bytes of dvc.lock"
    is_in_git = Path(path).is_relative_to(METRICS)
    brings = f"git checkout HEAD -- {path}" if is_in_git else f"dvc checkout {path}"
    if state == "different":
        return f"other bytes than dvc.lock has: `{brings}` brings those"
    return f"not there: `{brings}` brings it" + (f", or `dvc pull {path}`" if not is_in_git else "")


def _summary(steps: Sequence[Step], newest: Mapping[str, str]) -> Table:
    table = console.table("Made by")
    for title in ("stage", "params", "outputs"):
        table.add_column(title, justify="right" if title == "params" else "left", no_wrap=True)
    for step in steps:
        outs = [f"{entry.path} {entry.md5[:_SHORT]}" for entry in step.outs]
        former = [entry.path for entry in step.deps if _is_former(entry, newest)]
        note = f"; made from a former {few(former)}" if former else ""
        table.add_row(step.name, str(len(step.params)), f"{few(outs, 1)}{note}")
    return table


def _is_former(dep: Entry, newest: Mapping[str, str]) -> bool:
    """Whether the stage that writes it has run since, as after a refresh that kept the models."""
    return newest.get(dep.path, dep.md5) != dep.md5


def _step(step: Step, newest: Mapping[str, str]) -> Table:
    block = _block(step.name)
    block.add_row("command", step.cmd)
    if step.params:
        block.add_row("params", _params(step.params))
    for dep in step.deps:
        note = " (a former one; the stage that writes it has run since)"
        block.add_row("in", _entry(dep).append(note if _is_former(dep, newest) else ""))
    if step.code:
        code = (f"{entry.path} {entry.md5[:_SHORT]}" for entry in step.code)
        block.add_row("code", ", ".join(code))
    for entry in step.outs:
        block.add_row("out", _entry(entry))
    return block


def _origin(raw: Raw, inputs: Sequence[Entry], *, whole: bool) -> Table:
    block = _block("raw bars")
    block.add_row("source", f"{raw.source} {_params(raw.options) if whole else ''}".rstrip())
    block.add_row("as_of", raw.as_of)
    for entry in inputs:
        block.add_row("input", _entry(entry))
    return block


def _entry(entry: Entry) -> Text:
    path = f"{entry.path}/" if entry.is_folder else entry.path
    return Text(f"{entry.md5.removesuffix('.dir')}  {path}")


def _params(params: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_value(value)}" for key, value in params.items())


def _value(value: Any) -> str:
    plain = isinstance(value, str) and re.fullmatch(r"[^\s,]+", value)
    return value if plain else compact(value)


def show_matches(screen: Console, matches: Matches) -> None:
    """Print the commits that have an md5, the newest first."""
    table = console.table(f"md5 {matches.md5}")
    for title in ("commit", "date", "subject", "names", "path"):
        table.add_column(title, no_wrap=title in {"commit", "date"}, overflow="fold")
    for sighting in matches.sightings[:SIGHTINGS]:
        commit = sighting.commit
        table.add_row(
            commit.id[:10],
            commit.date[:10],
            Text(commit.subject),
            Text(", ".join(commit.names)),
            Text(", ".join(sighting.paths)),
        )
    if len(matches.sightings) > SIGHTINGS:
        table.caption = f"and {len(matches.sightings) - SIGHTINGS:,} more; --json has all"
    screen.print(table)
    if all(sighting.commit.experiment for sighting in matches.sightings):
        screen.print("Only experiments have it: no branch or tag leads to these commits.")
    screen.print()


def _relative(path: str) -> str:
    """A path as `dvc.lock` writes it: from the root of the project."""
    relative = Path(os.path.relpath(path or os.curdir))
    if relative.parts[:1] in {(), ("..",)}:
        raise StageError(
            f"{path or repr(path)}: name a file or folder within the project, run from its root"
        )
    return relative.as_posix()


def main() -> None:
    """Find the file, by its path or its md5, and print where it comes from."""
    parser = Parser(prog="python -m versions.lineage")
    parser.add_argument("path", nargs="?")
    parser.add_argument("--rev")
    parser.add_argument("--md5")
    parser.add_argument("--all", action="store_true", dest="whole")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if (arguments.path is None) == (arguments.md5 is None) or (
        arguments.md5 is not None and arguments.rev
    ):
        raise StageError("name a path (and --rev), or an --md5 alone; see --help")
    matches, workspace = None, None
    if arguments.md5 is not None:
        matches = commits.search(arguments.md5)
        newest = matches.sightings[0]
        commit, lineage = at(newest.paths[0], newest.commit.id)
    elif arguments.rev is not None:
        commit, lineage = at(_relative(arguments.path), arguments.rev)
    else:
        commit, lineage, workspace = here(_relative(arguments.path))
    if arguments.json:
        content = as_dict(commit, lineage, workspace)
        content |= {} if matches is None else asdict(matches)
        # A param may be a date.
        printed = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        sys.stdout.write(f"{printed}\n")
        return

    def print_all(screen: Console) -> None:
        if matches is not None:
            show_matches(screen, matches)
        show(screen, commit, lineage, workspace, whole=arguments.whole)

    console.page(print_all)


if __name__ == "__main__":
    run(main)
