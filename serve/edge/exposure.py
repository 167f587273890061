"""Whether a server without keys can be reached from other machines; then it does not answer."""

import ipaddress
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from serve.edge.keyring import Keyring
from serve.settings import Settings
from stages.common.errors import StageError

if TYPE_CHECKING:
    from types import FrameType

REMEDY = "make a key with `python -m serve keys add`, or set SERVE_ALLOW_OPEN=true"


class ExposedError(StageError):
    """The server would answer other machines without asking for a key."""


def check(settings: Settings, keyring: Keyring, host: str | None) -> None:
    """Refuse to listen to other machines without keys.

    Args:
        settings: of the server.
        keyring: its keys.
        host: what it will listen on; None where that is not known.

    Raises:
        ExposedError: it would.
    """
    if keyring.required or settings.allow_open or host is None or is_local(host):
        return
    raise ExposedError(
        f"refusing to listen on {host or 'every address'} without API keys; {REMEDY}"
    )


@lru_cache(maxsize=1024)
def is_local(host: str) -> bool:
    """Whether only this machine can reach an address: loopback, or the path of a Unix socket."""
    if host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def uvicorn_host() -> str | None:
    """What the uvicorn that is just now importing the app will listen on.

    `uvicorn serve.app:app --host 0.0.0.0` tells the app nothing about its address. But the import
    is made by `uvicorn.Config.load`, so its frame is among our callers. None where it is not: then
    `Guard` refuses what comes from elsewhere, request by request.
    """
    module = sys.modules.get("uvicorn.config")
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # the public way builds a list
    while module is not None and frame is not None:
        config = frame.f_locals.get("self")
        if isinstance(config, module.Config):
            if config.fd is not None:
                return None
            return str(config.uds or config.host)
        frame = frame.f_back
    return None
