"""Whether other machines could ask a server that has no keys; then it does not start."""

import ipaddress
from functools import lru_cache

from serve.edge.keyring import Keyring
from serve.settings import Settings
from stages.common.errors import StageError

REMEDY = "make a key with `python -m serve keys add`, or set SERVE_ALLOW_OPEN=true"


class ExposedError(StageError):
    """The server would answer other machines without asking for a key."""


def check(settings: Settings, keyring: Keyring, host: str | None) -> None:
    """Refuse to listen to other machines without keys.

    Args:
        settings: of the server.
        keyring: its keys.
        host: the address that it will listen on; None where that is not known.

    Raises:
        ExposedError: other machines could ask without a key.
    """
    if keyring.required or settings.allow_open or (host is not None and is_local(host)):
        return
    where, remedy = host or "every address", REMEDY
    if host is None:
        where, remedy = "an address that only uvicorn knows", f"use `python -m serve`, {REMEDY}"
    raise ExposedError(f"refusing to listen on {where} without API keys; {remedy}")


@lru_cache(maxsize=1024)
def is_local(host: str) -> bool:
    """Whether an address is one that only this machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
