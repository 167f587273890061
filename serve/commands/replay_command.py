"""`python -m serve replay ID`: compute a prediction or a batch again, and compare bit for bit."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from serve.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from serve.commands import Commands
    from serve.replay.comparison import Comparison
    from serve.replay.logged import Logged
    from serve.replay.origin import Origin
    from versions.repository.trace import Lineage


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "replay",
        help="compute a prediction again with the model that made it, and compare",
        description="Check the revision that made a prediction or a batch out into a temporary "
        "place, compute it again from the logged inputs, and compare bit for bit. Exit status 1 "
        "if anything differs or cannot be had.",
    )
    parser.add_argument("id", help="of a prediction, or of a batch")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """Replay what was asked for.

    Raises:
        ReplayError: it cannot be replayed, or is not the same again.
    """
    from serve.replay import comparison, logged
    from serve.replay import origin as past
    from versions.repository import lock, trace

    root = settings.root.resolve()
    found = logged.find(settings, arguments.id)
    origin = past.origin(root, found)
    with past.checkout(root, origin.commit.id) as folder:
        compared = comparison.replay(found, past.bring(folder, found))
    traced = trace.trace(lock.at(origin.commit.id, root), past.graph_path(found.horizon))
    show = _print_json if arguments.json else _print
    show(found, origin, compared, traced)
    if not compared.same:
        count = sum(compared.different.values())
        raise logged.ReplayError(f"{count:,} values are not those that were logged")


def _print_json(
    found: "Logged", origin: "Origin", compared: "Comparison", traced: "Lineage"
) -> None:
    from versions import lineage

    content = {
        "id": found.id,
        "kind": found.kind,
        "horizon": found.horizon,
        "created_at": found.created_at,
        "revision": found.revision,
        "model_md5": found.model_md5,
        "model_version": found.model_version,
        "commit": asdict(origin.commit),
        "note": origin.note,
        "same": compared.same,
        "rows": compared.rows,
        "different": compared.different,
        "values": [{**asdict(value), "same": value.same} for value in compared.values],
        "lineage": json.loads(lineage.as_json(origin.commit, traced)),
    }
    sys.stdout.write(f"{json.dumps(content, indent=2, ensure_ascii=False)}\n")


def _print(found: "Logged", origin: "Origin", compared: "Comparison", traced: "Lineage") -> None:
    from versions import console, lineage

    def show(screen: "Console") -> None:
        place = f", row {compared.values[0].row:,}" if found.kind == "batch" else ""
        screen.print(
            f"{found.kind} {found.id}: {found.horizon}, {found.subject}{place}",
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
        version = f" {found.model_version}" if found.model_version else ""
        screen.print(f"answered {found.created_at} by {found.revision}{version}")
        if origin.note:
            screen.print(f"note: {origin.note}")
        if compared.same:
            screen.print(f"{compared.rows:,} rows computed again: every bit is the same")
        else:
            counts = ", ".join(f"{name} {count:,}" for name, count in compared.different.items())
            screen.print(f"{compared.rows:,} rows computed again; not the same: {counts}")
        screen.print()
        lineage.show(screen, origin.commit, traced)

    console.page(show)
