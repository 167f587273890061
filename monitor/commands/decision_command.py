"""`python -m monitor decisions` and `explain`: what was decided, and why."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.settings import Settings

if TYPE_CHECKING:
    from monitor.commands import Commands
    from monitor.retraining.decisions import Decision


def register(commands: "Commands") -> None:
    """Add the commands."""
    listing = commands.add_parser("decisions", help="list every decision")
    listing.add_argument("--json", action="store_true", help="whole, one a line")
    listing.set_defaults(run=show)
    explaining = commands.add_parser(
        "explain",
        help="compute a decision again and compare",
        description="Show the gates of a decision, compute them again from the rows, models and "
        "thresholds that it pinned, and compare. Exit status 1 if anything differs.",
    )
    explaining.add_argument("decision", metavar="ID")
    explaining.set_defaults(run=explain)


def show(settings: Settings, arguments: argparse.Namespace) -> None:
    """List, oldest first."""
    from monitor.commands import console_tables
    from monitor.retraining import decisions
    from monitor.store import records

    with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
        listed = decisions.listed(connection)
    if arguments.json:
        for decision in listed:
            sys.stdout.write(json.dumps(decision.content()) + "\n")
        return
    if not listed:
        sys.stdout.write("nothing was decided yet\n")
        return
    table = console_tables.empty("decision", "lane", "outcome", "challenger", "because")
    for decision in listed:
        table.add_row(
            decision.id,
            decision.lane or "-",
            decision.outcome,
            (decision.challenger or "-")[:7],
            decision.because,
        )
    console_tables.show(table)


def explain(settings: Settings, arguments: argparse.Namespace) -> None:
    """Compute again."""
    from monitor.retraining import decisions, recomputation
    from monitor.store import records

    root = Path.cwd()
    with records.opened(settings, read_only=True) as engine:
        decision = decisions.find(engine, arguments.decision, root)
        _gates(decision)
        different = recomputation.differences(decision, settings, engine, root)
    for line in different:
        sys.stdout.write(f"differs: {line}\n")
    if different:
        raise SystemExit(1)
    sys.stdout.write("computed again from the pinned window: every number and answer is the same\n")


def _gates(decision: "Decision") -> None:
    from monitor.commands import console_tables

    sys.stdout.write(f"{decision.id}: {decision.outcome}; {decision.because}\n")
    by_horizon = decision.document.get("gates", {})
    if not by_horizon:
        return
    numbers = ("effect", "threshold")
    table = console_tables.empty(
        "horizon", "gate", "effect", "", "threshold", "answer", "why", numbers=numbers
    )
    for horizon, gates in by_horizon.items():
        for gate in gates:
            table.add_row(
                horizon,
                gate["name"],
                console_tables.number(gate["effect"]),
                gate["direction"],
                console_tables.number(gate["threshold"]),
                gate["answer"],
                gate["sentence"],
            )
    console_tables.show(table)
