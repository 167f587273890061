"""Versions of a horizon's model: register, promote, list, roll back.

    python -m versions.release register short [--bump major|minor|patch]
    python -m versions.release promote short v1.1.0 [--stage production]
    python -m versions.release rollback short [--stage production]
    python -m versions.release versions [--json]

Each of the first three with `--dry-run` checks what it can, prints what it would do as JSON, and
makes no tag.

`make release`, `make promote`, `make rollback` and `make versions` run these. Versions and stages
are tags of git in the format of GTO; see docs/releases.md.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from rich import box
from rich.table import Table

from stages.common.running import Parser, log, run
from versions import console
from versions.registry import promotion, registration
from versions.registry.registration import Row
from versions.registry.release_plan import Plan
from versions.repository import git
from versions.results.formats import COLUMNS, number

PRODUCTION = "production"

_SCORES = [column for column in COLUMNS if column.name in {"mae", "rmse", "oos_r2", "auc"}]


def _arguments(argv: Sequence[str]) -> Namespace:
    parser = Parser(prog="python -m versions.release")
    commands = parser.add_subparsers(dest="command", required=True)
    register = commands.add_parser("register")
    register.add_argument("horizon")
    register.add_argument("--bump", default="minor", choices=("major", "minor", "patch"))
    promote = commands.add_parser("promote")
    promote.add_argument("horizon")
    promote.add_argument("version")
    promote.add_argument("--stage", default=PRODUCTION)
    rollback = commands.add_parser("rollback")
    rollback.add_argument("horizon")
    rollback.add_argument("--stage", default=PRODUCTION)
    for command in (register, promote, rollback):
        command.add_argument("--dry-run", action="store_true")
    versions = commands.add_parser("versions")
    versions.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def _plan(arguments: Namespace) -> Plan:
    if arguments.command == "register":
        return registration.plan_release(arguments.horizon, arguments.bump)
    if arguments.command == "promote":
        return promotion.plan_promotion(arguments.horizon, arguments.version, arguments.stage)
    return promotion.plan_rollback(arguments.horizon, arguments.stage)


def _promote(arguments: Namespace) -> None:
    horizon, stage = arguments.horizon, arguments.stage
    if arguments.command == "promote":
        done = promotion.promote(horizon, arguments.version, stage)
    else:
        done = promotion.rollback(horizon, stage)
    was = f", after {done.former}" if done.former else ""
    pushed = f"{done.sent.pushed} of them pushed now" if done.sent.pushed else "all there before"
    log.info("%s %s is in %s%s", horizon, done.version, stage, was)
    log.info("%d objects in %s, %s", done.sent.objects, done.sent.remote, pushed)
    _share(done.tag)


def _share(tag: str) -> None:
    names = git.git("remote").split()
    remote = "origin" if "origin" in names or not names else names[0]
    log.info("to share it: git push %s '%s'", remote, tag)


def table(rows: Sequence[Row]) -> Table:
    """One row per version; those in production have a star and are bold."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for title in ("horizon", "version", "stage", "commit", "date", "by"):
        # Only names of people are cut on a narrow terminal.
        table.add_column(title, no_wrap=title != "by")
    for column in _SCORES:
        table.add_column(column.title, justify="right", no_wrap=True)
    for row in rows:
        live = PRODUCTION in row.stages
        table.add_row(
            row.horizon,
            f"{row.version} *" if live else row.version,
            ", ".join(row.stages) or "-",
            row.commit[:7],
            f"{row.when:%Y-%m-%d}",
            row.who,
            *(number(row.metrics.get(column.name), column.format) for column in _SCORES),
            style="bold" if live else "",
        )
    return table


def _show(rows: Sequence[Row]) -> None:
    if not rows:
        log.info("no version yet; `make release HORIZON=short` registers one")
        return
    console.page(lambda screen: screen.print(table(rows)), console.WIDE)
    if any(PRODUCTION in row.stages for row in rows):
        log.info("* in production")


def main() -> None:
    """Run the command of the command line."""
    arguments = _arguments(sys.argv[1:])
    if arguments.command != "versions" and arguments.dry_run:
        sys.stdout.write(json.dumps(asdict(_plan(arguments)), indent=2) + "\n")
    elif arguments.command == "register":
        tag = registration.register(arguments.horizon, arguments.bump)
        log.info("%s is %s", tag.replace("@", " "), git.commit()[:7])
        _share(tag)
    elif arguments.command in {"promote", "rollback"}:
        _promote(arguments)
    elif arguments.json:
        rows = [asdict(row) | {"when": row.when.isoformat()} for row in registration.versions()]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        _show(registration.versions())


if __name__ == "__main__":
    run(main)
