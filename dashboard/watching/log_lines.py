"""A line of any log, in its parts."""

import json
import re
from dataclasses import dataclass

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (.*)", re.DOTALL)
_SOURCE = re.compile(r"(server|monitor|dashboard) *\| (.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A line, in parts.

    Attributes:
        at: when it was written, as the log says; empty where it does not.
        source: which of server, monitor and dashboard; empty where that is not said.
        level: such as `info`; empty where that is not said.
        text: the rest.
    """

    at: str
    source: str
    level: str
    text: str


def parsed(line: str) -> Line:
    """A line in its parts: of `up.log` with time and source, of the server as JSON, or as it is."""
    at, source, level = "", "", ""
    if stamped := _STAMP.fullmatch(line):
        at, line = stamped.groups()
    if sourced := _SOURCE.fullmatch(line):
        source, line = sourced.groups()
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            return Line(at, source, level, line)
        at, level = str(fields.pop("time", at)), str(fields.pop("level", ""))
        event = str(fields.pop("event", ""))
        rest = " ".join(f"{name}={value}" for name, value in fields.items())
        line = f"{event}  {rest}".strip()
    return Line(at[:23], source, level, line)
