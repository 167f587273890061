"""`python -m monitor alerts`: list the alerts, or test the channels."""

import argparse
import sys
from typing import TYPE_CHECKING

from monitor.settings import MonitorError, Settings
from stages.common.running import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.alerts.episodes import Episode
    from monitor.commands import Commands


def register(commands: "Commands") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "alerts",
        help="list the alerts, or send a test message",
        description="List the alerts that go on, the newest first. docs/self-healing.md, Runbook, "
        "says what each means.",
    )
    parser.add_argument("--all", action="store_true", help="also those that ended")
    parser.add_argument("--json", action="store_true", help="one a line")
    parser.add_argument(
        "--test", action="store_true", help="send a message to each URL of MONITOR_ALERT_URLS"
    )
    parser.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> None:
    """List or test."""
    if arguments.test:
        _test(settings)
        return
    episodes = _episodes(settings, every=arguments.all)
    if arguments.json:
        for episode in episodes:
            sys.stdout.write(episode.model_dump_json(exclude={"quiet"}) + "\n")
    elif episodes:
        _show(settings, episodes)
    else:
        sys.stdout.write("no alert\n" if arguments.all else "no alert goes on\n")


def _episodes(settings: Settings, *, every: bool) -> "Sequence[Episode]":
    from monitor.alerts import episode_store, outbox
    from monitor.store import records
    from predictions.engine import LogError

    try:
        with records.opened(settings, read_only=True) as engine, engine.connect() as connection:
            return episode_store.listed(connection, every=every)
    except LogError as error:
        # While the log is away, alerts go on in a file.
        known = outbox.read(settings.folder).episodes
        if not known:
            raise
        log.warning("%s; these alerts are in %s", error, settings.folder / outbox.FILE)
        return [each for each in known[::-1] if every or each.ended_at is None]


def _show(settings: Settings, episodes: "Sequence[Episode]") -> None:
    from rich.markup import escape

    from monitor.alerts import silences
    from monitor.commands import console_tables

    silent = silences.read(settings.folder)
    table = console_tables.empty("severity", "rule", "of", "since", "until", "told", "found")
    for each in episodes:
        sent = f"{each.sent_at:%Y-%m-%d %H:%M}" if each.sent_at else "no"
        if silences.is_silent(silent, each.rule, each.ended_at or settings.clock):
            sent = "silenced"
        table.add_row(
            each.severity,
            each.rule,
            escape(each.about),
            f"{each.started_at:%Y-%m-%d %H:%M}",
            f"{each.ended_at:%Y-%m-%d %H:%M}" if each.ended_at else "goes on",
            sent,
            escape(each.message),
        )
    console_tables.show(table)


def _test(settings: Settings) -> None:
    from monitor.alerts import delivery

    urls = settings.alert_urls.split()
    if not urls:
        raise MonitorError("MONITOR_ALERT_URLS names no channel; set it in .env, see .env.example")
    problems = delivery.try_out(urls)
    for name, problem in zip(delivery.names(urls), problems, strict=True):
        sys.stdout.write(f"channel {name}: {problem or 'took it'}\n")
    sys.stdout.flush()
    failed = sum(problem is not None for problem in problems)
    if failed:
        raise MonitorError(f"{failed} of {len(urls)} channels did not take the message")
