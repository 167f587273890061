"""Sends messages to the channels within a bounded time, and pauses channels that fail."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue

from monitor.alerts import outbox as boxes
from monitor.alerts.outbox import Channel, Message, Outbox
from monitor.bounded import bounded
from monitor.settings import Settings

SECONDS = 20.0
"""Longest that a round may take; the next round sends the rest."""

_PAUSE = 0.5


@dataclass(frozen=True)
class Limits:
    """What a channel that fails may cost.

    Attributes:
        retries: times that a message is sent again; a channel that failed before gets one try.
        pause: seconds for which a channel that failed is not tried.
        seconds: longest that a round takes.
    """

    retries: int
    pause: int
    seconds: float = SECONDS


@dataclass(frozen=True)
class _Task:
    """The messages for one channel, in order."""

    channel: str
    url: str
    messages: Sequence[Message]
    tries: int


@dataclass(frozen=True)
class _Result:
    """Whether a channel took a message; without a message: the channel is done."""

    channel: str
    message: Message | None
    problem: str | None


def channels(settings: Settings) -> dict[str, str]:
    """The URLs of `MONITOR_ALERT_URLS`, by key."""
    return {boxes.key_of(url): url for url in settings.alert_urls.split()}


def names(urls: Sequence[str]) -> list[str]:
    """How messages name each channel: its place and its kind, nothing else of its URL."""
    return [
        f"{place} ({url.partition('://')[0]})" if "://" in url else f"{place} (not a URL)"
        for place, url in enumerate(urls, 1)
    ]


def try_out(urls: Sequence[str], seconds: float = SECONDS) -> list[str | None]:
    """Send a test message to each channel once; returns why one did not take it, or None."""
    from monitor.alerts import sender

    sender.load()

    def send(url: str) -> str | None:
        body = "This channel receives the alerts of the monitor."
        return sender.send(url, "INFO test of alerts", body, "INFO")

    def tried(url: str) -> str | None:
        try:
            return bounded(lambda: send(url), seconds)
        except TimeoutError:
            return f"no answer for {seconds:g} s"

    with ThreadPoolExecutor(max_workers=max(1, len(urls))) as threads:
        return list(threads.map(tried, urls))


def deliver(
    outbox: Outbox,
    urls: Mapping[str, str],
    now: datetime,
    limits: Limits,
    save: Callable[[], None],
) -> list[str]:
    """Send what waits: all channels at once, the messages of each in order.

    Args:
        outbox: is changed.
        urls: of the channels, by key.
        now: in UTC.
        limits: of what it may cost.
        save: keeps the outbox; called after each message that was taken.

    Returns:
        What went wrong, a sentence a channel.
    """
    tasks = _tasks(outbox, urls, now, limits)
    if not tasks:
        return []
    # Its import takes a second, which a round without news need not spend.
    from monitor.alerts import sender

    sender.load()
    results: SimpleQueue[_Result] = SimpleQueue()
    stop = threading.Event()
    for task in tasks:
        threading.Thread(target=_work, args=(task, results, stop), daemon=True).start()
    failed: dict[str, str] = {}
    took: set[str] = set()
    working = {task.channel for task in tasks}
    deadline = time.monotonic() + limits.seconds
    while working:
        try:
            result = results.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            failed |= dict.fromkeys(working - took, f"no answer for {limits.seconds:g} s")
            break
        if result.message is None:
            working.discard(result.channel)
        elif result.problem is not None:
            failed[result.channel] = result.problem
        else:
            took.add(result.channel)
            boxes.mark_taken(outbox, result.message, result.channel, now)
            save()
    stop.set()
    _remember(outbox, failed, took, now + timedelta(seconds=limits.pause))
    named = dict(zip(urls, names(list(urls.values())), strict=True))
    return [f"channel {named[key]}: {problem}" for key, problem in failed.items()]


def _tasks(outbox: Outbox, urls: Mapping[str, str], now: datetime, limits: Limits) -> list[_Task]:
    outbox.channels = {key: each for key, each in outbox.channels.items() if key in urls}
    tasks = []
    for key, url in urls.items():
        failed = outbox.channels.get(key)
        # A clock that was ahead may have set a time far in the future: that one is tried.
        if failed and now < failed.until <= now + timedelta(seconds=limits.pause):
            continue
        messages = [message for message in outbox.messages if key in message.waiting]
        if messages:
            tasks.append(_Task(key, url, messages, 1 if failed else 1 + limits.retries))
    return tasks


def _work(task: _Task, results: "SimpleQueue[_Result]", stop: threading.Event) -> None:
    for message in task.messages:
        problem = _send(task, message, stop)
        results.put(_Result(task.channel, message, problem))
        if problem is not None or stop.is_set():
            break
    results.put(_Result(task.channel, None, None))


def _send(task: _Task, message: Message, stop: threading.Event) -> str | None:
    from monitor.alerts import sender

    kind = "ended" if message.title.startswith("ended") else message.severity
    problem: str | None = None
    for attempt in range(task.tries):
        if attempt and stop.wait(_PAUSE * 2 ** (attempt - 1)):
            break
        problem = sender.send(task.url, message.title, message.body, kind)
        if problem is None:
            break
    return problem


def _remember(outbox: Outbox, failed: Mapping[str, str], took: set[str], until: datetime) -> None:
    for key in took:
        outbox.channels.pop(key, None)
    for key, problem in failed.items():
        before = outbox.channels[key].failures if key in outbox.channels else 0
        outbox.channels[key] = Channel(failures=before + 1, until=until, problem=problem)
