"""Which role a request needs: a table of paths, in which what is not listed needs `predict`."""

from typing import Final

PROBES: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""Whether it is well."""

OPEN: Final = PROBES | {"/", "/version", "/openapi.json"}
"""What runs, whether it is well, and how to ask: for probes, and for those without a key yet."""


def role(path: str) -> str | None:
    """The role that a request needs; None if it needs none. Paths may be templates."""
    if path in OPEN:
        return None
    if path == "/labels" or path.startswith("/labels/"):
        return "label"
    if path == "/metrics":
        return "admin"
    return "predict"
