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
from rich.console import Console
from rich.table import Table

from stages.common.running import Parser, log, run
from versions.registry import promotion, registration
from versions.registry.promotion import Promotion
from versions.registry.registration import Row
from versions.registry.release_plan import Plan
from versions.repository import git

PRODUCTION = "production"


def _arguments(given: Sequence[str]) -> Namespace:
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
    return parser.parse_args(given)


def _plan(asked: Namespace) -> Plan:
    if asked.command == "register":
        return registration.plan_release(asked.horizon, asked.bump)
    if asked.command == "promote":
        return promotion.plan_promotion(asked.horizon, asked.version, asked.stage)
    return promotion.plan_rollback(asked.horizon, asked.stage)


def _promoted(done: Promotion, horizon: str, stage: str) -> None:
    was = f", after {done.former}" if done.former else ""
    pushed = f"{done.sent.pushed} of them pushed now" if done.sent.pushed else "all there before"
    log.info("%s %s is in %s%s", horizon, done.version, stage, was)
    log.info("%d objects in %s, %s", done.sent.objects, done.sent.remote, pushed)
    _share(done.tag)


def _share(tag: str) -> None:
    log.info("to share it: git push %s '%s'", _remote(), tag)


def _remote() -> str:
    names = git.git("remote").split()
    return "origin" if "origin" in names or not names else names[0]


def table(rows: Sequence[Row]) -> Table:
    """One row per version; those in production have a star and are bold."""
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for title in ("horizon", "version", "stage", "commit", "date", "by"):
        # Only names of people are cut on a narrow terminal.
        shown.add_column(title, no_wrap=title != "by")
    titles = {"mae": "MAE %", "rmse": "RMSE %", "oos_r2": "OOS R2", "auc": "AUC"}
    for title in titles.values():
        shown.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        live = PRODUCTION in row.stages
        shown.add_row(
            row.horizon,
            f"{row.version} *" if live else row.version,
            ", ".join(row.stages) or "-",
            row.commit[:7],
            f"{row.when:%Y-%m-%d}",
            row.who,
            *(_number(row.metrics.get(key), key) for key in titles),
            style="bold" if live else "",
        )
    return shown


def _number(value: float | None, key: str) -> str:
    if value is None:
        return "-"
    if key in {"mae", "rmse"}:
        return f"{100 * value:.3f}"
    return f"{value:+.4f}" if key == "oos_r2" else f"{value:.3f}"


def _show(rows: Sequence[Row]) -> None:
    if not rows:
        log.info("no version yet; `make release HORIZON=short` registers one")
        return
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table(rows))
    else:
        plain = Console(highlight=False, width=160, color_system=None)
        with plain.capture() as captured:
            plain.print(table(rows))
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    if any(PRODUCTION in row.stages for row in rows):
        log.info("* in production")


def main() -> None:
    """Run the command of the command line."""
    asked = _arguments(sys.argv[1:])
    if asked.command != "versions" and asked.dry_run:
        sys.stdout.write(json.dumps(asdict(_plan(asked)), indent=2) + "\n")
    elif asked.command == "register":
        tag = registration.register(asked.horizon, asked.bump)
        log.info("%s is %s", tag.replace("@", " "), git.commit()[:7])
        _share(tag)
    elif asked.command == "promote":
        _promoted(
            promotion.promote(asked.horizon, asked.version, asked.stage), asked.horizon, asked.stage
        )
    elif asked.command == "rollback":
        _promoted(promotion.rollback(asked.horizon, asked.stage), asked.horizon, asked.stage)
    elif asked.json:
        rows = [asdict(row) | {"when": row.when.isoformat()} for row in registration.versions()]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        _show(registration.versions())


if __name__ == "__main__":
    run(main)
