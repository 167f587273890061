"""Which role a request needs, by its path."""

from typing import Final

PROBES: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""Paths of probes, which ask whether the server is well."""

OPEN: Final = PROBES | {"/", "/version", "/openapi.json"}
"""Paths that need no key: for probes, and for callers who do not have a key yet."""


def role(path: str) -> str | None:
    """The role that a request for a path, or for its template, needs; None if it needs none."""
    if path in OPEN:
        return None
    if path == "/labels" or path.startswith("/labels/"):
        return "label"
    if path == "/metrics":
        return "admin"
    return "predict"
