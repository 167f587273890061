"""`python -m serve replay ID`: compute a prediction or a batch again, and compare bit for bit."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from serve.server_settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from serve.commands import Commands
    from serve.replay.comparison import Comparison
    from serve.replay.logged import Logged
    from versions.repository.commits import Commit
    from versions.repository.trace import Lineage

_LOGGED = ("id", "kind", "horizon", "created_at", "revision", "model_md5", "model_version")


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="compute a prediction again with the model that made it, and compare",
        description="Fetch the model that made a prediction or a batch, compute the outputs again "
        "from the logged inputs, and compare bit for bit. Exit status 1 if a bit differs, or if "
        "something is missing.",
    )
    parser.add_argument("id", help="of a prediction, or of a batch")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Replay a prediction or a batch.

    Raises:
        ReplayError: it cannot be replayed, or a value differs.
    """
    from serve.replay import comparison, logged, origin
    from versions.repository import lock, trace

    root = settings.root.resolve()
    answer = logged.find(settings, arguments.id)
    commit, note = origin.find(root, answer)
    compared = comparison.compare(answer, origin.fetch(root, commit.id, answer))
    traced = trace.trace(lock.at(commit.id, root), origin.graph_path(answer.horizon))
    show = _print_json if arguments.json else _print
    show(answer, compared, note, commit, traced)
    if not compared.same:
        count = sum(compared.different.values())
        raise logged.ReplayError(f"{count:,} values are not those that were logged")


def _print_json(
    answer: "Logged", compared: "Comparison", note: str, commit: "Commit", traced: "Lineage"
) -> None:
    from versions import lineage

    content = {
        **{name: getattr(answer, name) for name in _LOGGED},
        "commit": asdict(commit),
        "note": note,
        "same": compared.same,
        **asdict(compared),
        "lineage": lineage.as_dict(commit, traced),
    }
    sys.stdout.write(f"{json.dumps(content, indent=2, ensure_ascii=False, default=str)}\n")


def _print(
    answer: "Logged", compared: "Comparison", note: str, commit: "Commit", traced: "Lineage"
) -> None:
    from versions import console, lineage

    def show(screen: "Console") -> None:
        place = f", row {compared.values[0].row:,}" if answer.kind == "batch" else ""
        screen.print(
            f"{answer.kind} {answer.id}: {answer.horizon}, {answer.subject}{place}",
            style="bold",
            soft_wrap=True,
        )
        table = console.table("")
        for name in ("output", "logged", "replayed", ""):
            table.add_column(name, no_wrap=True, justify="left" if name in "output" else "right")
        for value in compared.values:
            verdict = "the same" if value.same else "DIFFERENT"
            table.add_row(value.name, repr(value.logged), repr(value.replayed), verdict)
        screen.print(table)
        version = f" {answer.model_version}" if answer.model_version else ""
        screen.print(f"answered {answer.created_at} by {answer.revision}{version}")
        if note:
            screen.print(f"note: {note}")
        if compared.same:
            screen.print(f"{compared.rows:,} rows computed again: every bit is the same")
        else:
            counts = ", ".join(f"{name} {count:,}" for name, count in compared.different.items())
            screen.print(f"{compared.rows:,} rows computed again; not the same: {counts}")
        screen.print()
        lineage.show(screen, commit, traced, whole=True)

    console.page(show)
