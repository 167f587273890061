"""Logs as JSON, one object a line, on stderr: requests, and the messages of every logger.

Headers, query strings and bodies are not logged, and secrets in messages of libraries are masked.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that is being answered."""

_SECRETS = (
    # A WebSocket's query, in uvicorn's own line; the user and password of a URL; a header; a key.
    (re.compile(r'("WebSocket [^\s?]*)\?\S*(?=")'), r"\1"),
    (re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*@"), "***@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+\S+"), r"\1 ***"),
    (re.compile(r"\b[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), "***"),
)

_REFUSED = "ASGI callable returned without completing handshake."
"""What uvicorn calls an error of ours when a WebSocket is refused."""

_OF_CALLERS = frozenset({"Invalid HTTP request received.", "Unsupported upgrade request."})
"""Warnings of uvicorn that any caller can bring about, as often as it likes."""


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Its time, level, logger and text; its request and its stack, if it has them."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _masked(record.getMessage()),
        }
        if (request := REQUEST.get()) is not None:
            line["request_id"] = request
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
        return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()


def configure(level: str) -> None:
    """Send the records of every logger, uvicorn's too, through one handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    errors = logging.getLogger("uvicorn.error")
    errors.addFilter(_calm)
    # At `debug` it logs every header, and every message to listeners.
    errors.setLevel(max(logging.INFO, root.level))
    # `AccessLog` logs more.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    # numpy warns of absurd prices.
    logging.captureWarnings(capture=True)


def _calm(record: logging.LogRecord) -> bool:
    """Have what callers bring about count as `info`, as their requests do."""
    if record.msg in _OF_CALLERS:
        record.levelno, record.levelname = logging.INFO, "INFO"
    return record.msg != _REFUSED and record.levelno >= logging.getLogger().level


class AccessLog:
    """One line a request.

    Args:
        level: of the logs; above `info` only failed requests have a line.
        file: where lines go.
    """

    def __init__(self, level: str, file: BinaryIO | None = None) -> None:
        # One system call a line: they need neither a logger nor a buffer.
        buffer = file or sys.stderr.buffer
        self._write = getattr(buffer, "raw", buffer).write
        self._everything = level in {"debug", "info"}

    def line(self, fields: Mapping[str, Any], *, failed: bool) -> None:
        """Log a request by the fields of its line; a failed one at any level."""
        if not (self._everything or failed):
            return
        line = {
            "time": datetime.now(UTC),
            "level": "error" if failed else "info",
            "logger": "serve.access",
            "event": "request",
            **fields,
        }
        try:
            self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
        except OSError:
            # The reader of the log has gone; callers still get their answers.
            return


def _masked(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
