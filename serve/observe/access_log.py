"""Logs as JSON, one object a line, on stderr: requests, and whatever libraries have to say.

Neither headers nor query strings nor bodies are logged, and what looks like a secret in the words
of a library is blotted out.
"""

import logging
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, BinaryIO

import orjson
import structlog

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered."""

_SECRETS = (
    # The query of a WebSocket, which uvicorn tells of in its own words; the user and password of a
    # URL, a header, and a key of the API.
    (re.compile(r'("WebSocket [^\s?]*)\?\S*(?=")'), r"\1"),
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*@"), "***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 ***"),
    (re.compile(r"\b[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "***"),
)


def configure(level: str) -> None:
    """Send the records of every logger through one handler, and uvicorn's own with them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                _add_time,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.stdlib.add_log_level,
                _add_request,
                structlog.processors.format_exc_info,
                _blot_out,
                structlog.processors.JSONRenderer(_dumps),
            ],
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # At `debug` it writes down every header, and whatever listeners are told.
    logging.getLogger("uvicorn.error").setLevel(max(logging.INFO, root.level))
    # `AccessLog` has its line, with more in it.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    # numpy warns of absurd prices.
    logging.captureWarnings(capture=True)
    # watchfiles tells of every change that it has seen.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


class AccessLog:
    """One line a request.

    Args:
        level: of the logs; above `info` there are no lines, but of what failed.
        file: where lines go.
    """

    def __init__(self, level: str, file: BinaryIO | None = None) -> None:
        # Its lines need none of the processors, nor a buffer: one call of the system each.
        buffer = file or sys.stderr.buffer
        self._write = getattr(buffer, "raw", buffer).write
        self._everything = level in {"debug", "info"}
        self._second = 0
        self._text = ""

    def line(self, fields: Mapping[str, Any], *, failed: bool) -> None:
        """Log a request by the fields of its line; a failed one at any level."""
        if not (self._everything or failed):
            return
        line = {
            "time": self._now(),
            "level": "error" if failed else "info",
            "logger": "serve.access",
            "event": "request",
            **fields,
        }
        try:
            self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError:
            # Whoever read the log has gone; callers shall have their answers all the same.
            return

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{int((now - second) * 1000):03d}Z"


Event = MutableMapping[str, Any]


def _add_time(_: Any, __: str, event: Event) -> Event:
    record: logging.LogRecord | None = event.get("_record")
    moment = record.created if record is not None else time.time()
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return {"time": f"{text}.{int(moment % 1 * 1000):03d}Z", **event}


def _add_request(_: Any, __: str, event: Event) -> Event:
    if (found := REQUEST.get()) is not None:
        event.setdefault("request_id", found)
    return event


def _blot_out(_: Any, __: str, event: Event) -> Event:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = blotted(value)
    return event


def blotted(text: str) -> str:
    """A text without what looks like a secret."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _dumps(event: Event, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
