"""`python -m monitor retrain`, `judge`, `approve`, `reject` and `rollback`: change the champion."""

import argparse
import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.commands import argument_types
from monitor.settings import MonitorError, Settings, thresholds, who

if TYPE_CHECKING:
    from monitor.commands import Commands
    from monitor.retraining.decisions import Decision


def register(commands: "Commands") -> None:
    """Add the commands."""
    _retrain(commands)
    again = commands.add_parser(
        "judge", help="judge the challengers in shadow again, with the newest labels"
    )
    again.add_argument("decision", nargs="?", metavar="ID")
    again.set_defaults(run=judge)
    approving = commands.add_parser("approve", help="promote a challenger that passed every gate")
    approving.add_argument("decision", metavar="ID")
    approving.set_defaults(run=approve)
    rejecting = commands.add_parser("reject", help="reject a challenger that waits")
    rejecting.add_argument("decision", metavar="ID")
    rejecting.add_argument("--because", required=True, metavar="TEXT")
    rejecting.set_defaults(run=reject)
    back = commands.add_parser(
        "rollback",
        help="bring the former champion back",
        description="Undo the last promotion of the monitor: the former champion's models, params "
        "and tags come back, on the newest bars.",
    )
    back.add_argument(
        "--check", action="store_true", help="only if the promoted model is significantly worse"
    )
    back.add_argument("--by", metavar="NAME", help="who asks for it; default: this account")
    back.add_argument(
        "--dry-run",
        action="store_true",
        help="check what can be checked, and print what would come back as JSON",
    )
    back.set_defaults(run=roll_back)


def _retrain(commands: "Commands") -> None:
    parser = commands.add_parser(
        "retrain",
        help="train a challenger, and promote or reject it by gates",
        description="Train a challenger in a clone of the project and compare it with the champion "
        "on rows that neither was trained on. The served checkout changes only if all gates pass.",
    )
    parser.add_argument("--reason", choices=("drift", "schedule", "manual"), default="manual")
    parser.add_argument(
        "--as-of", type=argument_types.day, metavar="DAY", help="default: data.as_of"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="change a param, as `dvc exp run -S` does; repeatable",
    )
    parser.add_argument(
        "--revision", metavar="REV", help="a commit or experiment that is trained already"
    )
    parser.add_argument("--horizon", help="the one at which a change must be better")
    parser.add_argument(
        "--force", action="store_true", help="ignore the conditions (with --reason manual)"
    )
    parser.set_defaults(run=retrain)


def retrain(settings: Settings, arguments: argparse.Namespace) -> None:
    """Train and decide; exit status 2 if the conditions do not hold."""
    from monitor.retraining import retrain
    from monitor.retraining.retrain import Proposal

    if arguments.force and arguments.reason != "manual":
        raise MonitorError("--force is a person's decision: use it with --reason manual")
    if arguments.revision and (arguments.changes or arguments.as_of):
        raise MonitorError("--revision is trained already: leave out --set and --as-of")
    decision = retrain.run(
        settings,
        thresholds(),
        Proposal(
            arguments.reason,
            arguments.as_of,
            dict(map(_change, arguments.changes)),
            arguments.revision,
            arguments.horizon,
            arguments.force,
            who() if arguments.reason == "manual" else None,
        ),
    )
    _say(decision)
    if decision.outcome == "refused":
        raise SystemExit(2)
    if decision.outcome == "failed":
        raise SystemExit(1)


def _change(text: str) -> tuple[str, object]:
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise MonitorError(f"--set {text}: write KEY=VALUE, such as models.ridge.alpha=5")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise MonitorError(f"--set {text}: {value} is not a value of YAML") from None


def judge(settings: Settings, arguments: argparse.Namespace) -> None:
    """Judge again."""
    from monitor.retraining import waiting

    decisions = waiting.judge(settings, thresholds(), arguments.decision)
    if not decisions:
        sys.stdout.write("no challenger is in shadow\n")
    for decision in decisions:
        _say(decision)


def approve(settings: Settings, arguments: argparse.Namespace) -> None:
    """Promote."""
    from monitor.retraining import waiting

    _say(waiting.approve(settings, thresholds(), arguments.decision, who()))


def reject(settings: Settings, arguments: argparse.Namespace) -> None:
    """Reject."""
    from monitor.retraining import waiting

    rejection = waiting.Rejection(who(), arguments.because)
    _say(waiting.reject(settings, thresholds(), arguments.decision, rejection))


def roll_back(settings: Settings, arguments: argparse.Namespace) -> None:
    """Roll back, or check whether one is due."""
    from monitor.retraining import rollback

    if arguments.dry_run:
        sys.stdout.write(json.dumps(rollback.plan(settings, Path.cwd()), indent=2) + "\n")
        return
    if not arguments.check:
        _say(rollback.now(settings, thresholds(), arguments.by or who()))
        return
    from stages.common.sections import read

    today = date.fromisoformat(str(read()["data"]["as_of"]))
    watch = rollback.check(settings, thresholds(), today)
    if watch.decision is not None:
        _say(watch.decision)
        return
    for horizon, worse in watch.worse.items():
        sys.stdout.write(
            f"{horizon}: evidence {worse.greatest:.3g} of {worse.dates} live dates that "
            f"{watch.promotion} is worse than the former champion; {1 / watch.error:.3g} "
            "rolls it back\n"
        )
    if watch.problem is not None:
        sys.stdout.write(f"not rolled back: {watch.problem}\n")


def _say(decision: "Decision") -> None:
    sys.stdout.write(f"{decision.id}: {decision.outcome}; {decision.because}\n")
