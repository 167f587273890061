"""Sends a message to an Apprise URL; its errors contain no part of the URL."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyType

_TYPES = {
    "INFO": NotifyType.INFO,
    "WARNING": NotifyType.WARNING,
    "CRITICAL": NotifyType.FAILURE,
    "ended": NotifyType.SUCCESS,
}

_SECRET = 4
"""A part of a URL with so many letters may be a secret; shorter ones are common words."""

_LOGGER = logging.getLogger("apprise")
# Its lines may contain parts of URLs, which are secrets: only `_warnings` reads them.
_LOGGER.propagate = False
_LOGGER.addHandler(logging.NullHandler())

_ASSET = AppriseAsset(app_id="Stock forecasting", app_desc="Stock forecasting: the monitor")


def load() -> None:
    """Load the plug-ins of Apprise, so that this second does not count as waiting for a channel."""
    Apprise.instantiate("json://localhost", asset=_ASSET)


def send(url: str, title: str, body: str, kind: str) -> str | None:
    """Send one message.

    Args:
        url: of Apprise.
        title, body: plain text.
        kind: a severity, or `ended`.

    Returns:
        Why it was not taken; None if it was.
    """
    with _warnings() as lines:
        try:
            service = Apprise.instantiate(url, asset=_ASSET)
            if service is None:
                return "not a URL that Apprise knows; see https://appriseit.com/services/"
            is_taken = service.notify(body=body, title=title, notify_type=_TYPES[kind])
        except Exception as error:  # noqa: BLE001  # a plug-in may raise anything
            return f"{type(error).__name__} in Apprise"
    if is_taken:
        return None
    return scrubbed(" ".join(lines) or "it refused the message", url)


def scrubbed(text: str, url: str) -> str:
    """A text without the parts of a URL."""
    schema, _, rest = url.partition("://")
    parts = {part for whole in (rest, unquote(rest)) for part in re.split(r"[/:@?&=+,\s]+", whole)}
    for part in sorted(parts - {"", schema}, key=len, reverse=True):
        if len(part) >= _SECRET:
            text = text.replace(part, "***")
    return text


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What Apprise warns of in this thread."""
    lines: list[str] = []
    thread = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                lines.append(record.getMessage())

    handler = Collector(logging.WARNING)
    _LOGGER.addHandler(handler)
    try:
        yield lines
    finally:
        _LOGGER.removeHandler(handler)
