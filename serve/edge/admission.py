"""Whether a request may come in at all: from where, with which key, how often, how large."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from math import ceil
from typing import Any

from serve.edge import rates, roles
from serve.edge.exposure import REMEDY, is_local
from serve.edge.keyring import Key, Keyring
from serve.edge.problems import ProblemError
from serve.edge.rates import RateLimit
from serve.settings import Settings

Headers = Mapping[bytes, bytes]

_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
"""A proxy has been asked by somebody else, who may be anywhere."""

_ONCE = frozenset(
    {b"authorization", b"content-length", b"content-type", b"host", b"origin", b"sec-fetch-site"}
)
"""What decides here and elsewhere: frameworks go by the first of several, a dict by the last."""

_LONGEST_HOST = 255
"""Bytes of a `Host` that are looked at; a name has at most 253 (RFC 1035)."""

_ARROW = b"application/vnd.apache.arrow.stream"

_BULK = frozenset({"/predict", "/batch-predict"})
"""What takes bars or rows."""

_SMALL = 65_536
"""Bytes of any other body. Mistakes in a larger one are found one by one, while all others wait."""

_DIGITS = 18
"""Of a length that is worth reading."""


class Admission:
    """The rules of one server.

    Args:
        settings: of the server.
        keyring: its keys.
    """

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        self.keyring = keyring
        self._closed_to_others = not (keyring.required or settings.allow_open)
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._most = ("SERVE_MAX_BODY", settings.max_body)
        self._most_arrow = ("SERVE_MAX_ARROW_BODY", settings.max_arrow_body)
        self._most_else = (
            self._most if settings.max_body <= _SMALL else ("more than this path takes", _SMALL)
        )
        self._rates = (
            RateLimit(settings.rate_limit, settings.working_folder / "rates.bin")
            if settings.rate_limit
            else None
        )

    def check(self, scope: Mapping[str, Any], headers: Headers) -> Key | None:
        """Let a request in; returns the key that it came with.

        Raises:
            ProblemError: 400, 401, 403 or 429, it may not come in.
        """
        if len(headers) != len(scope["headers"]):
            _check_once(scope["headers"])
        path = path_of(scope)
        if self._closed_to_others:
            self._check_nearness(scope, headers)
        key = self._key(headers)
        # Probes shall find out how it is, however much is asked.
        if self._rates is not None and path not in roles.PROBES:
            self._count(self._rates, scope, key)
        if self.keyring.required:
            self._check_role(key, roles.role(path), headers)
        return key

    def max_body(self, scope: Mapping[str, Any], headers: Headers) -> tuple[str, int]:
        """Bytes that the body of a request may have, after the setting or reason for that.

        Raises:
            ProblemError: 413, it is said to have more.
        """
        path = path_of(scope)
        setting, most = self._most if path in _BULK else self._most_else
        if path == "/batch-predict" and headers.get(b"content-type", b"").startswith(_ARROW):
            setting, most = self._most_arrow
        declared = headers.get(b"content-length", b"0")
        if len(declared) > _DIGITS or int(declared) > most:
            raise too_large(setting, most)
        return setting, most

    def _check_nearness(self, scope: Mapping[str, Any], headers: Headers) -> None:
        server = scope.get("server") or ("", None)
        if is_remote(server[0]) or not _FORWARDED.isdisjoint(headers):
            raise ProblemError(403, f"this server has no API keys; {REMEDY}", "no-keys")
        told = headers.get(b"host", b"")
        # Names are kept, and nothing else bounds what a caller calls us.
        if len(told) > _LONGEST_HOST:
            raise ProblemError(
                400,
                f"the Host header has {len(told):,} bytes; send a name with its port, of at most "
                f"{_LONGEST_HOST}",
                "host",
            )
        host = _name(told)
        # A page of another site may have its name point to this machine (DNS rebinding).
        if host and host != server[0] and not is_local(host):
            raise ProblemError(
                403, f"without API keys this server answers to localhost only; {REMEDY}", "host"
            )
        # A picture or a form in it may ask as well; browsers say so (Fetch Metadata, W3C).
        if headers.get(b"sec-fetch-site") == b"cross-site" and self._origins.isdisjoint(
            {headers.get(b"origin"), b"*"}
        ):
            raise ProblemError(
                403,
                "a page of another site asked for this; open the address yourself, or let the "
                "page's scripts ask (SERVE_CORS_ORIGINS)",
                "cross-site",
            )

    def _key(self, headers: Headers) -> Key | None:
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        return self.keyring.find(secret.strip()) if scheme.lower() == b"bearer" else None

    def _check_role(self, key: Key | None, needed: str | None, headers: Headers) -> None:
        if needed is None or (key is not None and key.allows(needed)):
            return
        if key is not None:
            raise ProblemError(
                403,
                f"the key of {key.name} is not good for this; it needs the role {needed}",
                "role",
                {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
            )
        if b"authorization" in headers:
            raise ProblemError(
                401,
                "this is no key of this server; send one as `Authorization: Bearer KEY`",
                "unknown-key",
                {"WWW-Authenticate": 'Bearer error="invalid_token"'},
            )
        raise ProblemError(
            401,
            "this needs a key; send it as `Authorization: Bearer KEY`",
            "no-key",
            {"WWW-Authenticate": "Bearer"},
        )

    def _count(self, limit: RateLimit, scope: Mapping[str, Any], key: Key | None) -> None:
        if key is not None:
            caller = f"key {key.name}"
        else:
            client = scope.get("client") or ("", None)
            caller = rates.of_address(client[0])
        wait = ceil(limit.ask(caller))
        if wait:
            raise ProblemError(
                429,
                f"{limit.limit} requests a minute are allowed (SERVE_RATE_LIMIT); wait {wait} s",
                "rate-limit",
                {"Retry-After": str(wait)},
            )


def _check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    seen = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise ProblemError(
                400,
                f"{name.decode('ascii')}: this header came more than once; send it once",
                "repeated-header",
            )
        seen.add(name)


def too_large(setting: str, most: int) -> ProblemError:
    """The problem of a body that has more bytes than a setting allows."""
    return ProblemError(
        413,
        f"the body is larger than {most:,} bytes ({setting})",
        "body-too-large",
        # The rest of it is not waited for.
        {"Connection": "close"},
    )


def path_of(scope: Mapping[str, Any]) -> str:
    """The path of a request as routes know it: `uvicorn --root-path` puts another before it."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    return below if below.startswith("/") else path


@lru_cache(maxsize=1024)
def is_remote(address: str) -> bool:
    """Whether another machine can reach an address that a connection came in at.

    A name is none: it comes from a transport within this process, not from a socket.
    """
    try:
        return not ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def _name(host: bytes) -> str:
    """The name in a `Host` header, without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
