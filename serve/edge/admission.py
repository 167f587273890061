"""Whether a request may come in: from where, with which key, how often, how large."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import ceil
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.edge import rates
from serve.edge.keyring import PROBES, REMEDY, Key, Keyring, is_local, role_for
from serve.edge.problems import ProblemError
from serve.edge.rates import RateLimit
from serve.server_settings import Settings

Headers = Mapping[bytes, bytes]

_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip"})
"""A proxy sends these: its caller may be anywhere."""

_ONCE = frozenset(
    {
        *(b"authorization", b"content-encoding", b"content-length", b"content-type", b"host"),
        *(b"origin", b"sec-fetch-site", b"transfer-encoding"),
    }
)
"""Headers that decide about a request. Of repeated ones, frameworks take the first, a dict the
last."""

_LONGEST_HOST = 255
"""Bytes of a `Host`; a name has at most 253 (RFC 1035)."""

_ARROW = b"application/vnd.apache.arrow.stream"

_BULK = frozenset({"/predict", "/batch-predict"})
"""Paths that take bars or rows."""

_SMALL = 65_536
"""Bytes of any other body. Mistakes in a larger one are found one by one, while all others wait."""

_CLOSE = {"Connection": "close"}
"""For answers after which it is uncertain where the next request begins."""

_DIGITS = 18
"""Digits of the longest `Content-Length` that is read."""


class Admission:
    """The middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, keyring: Keyring) -> None:
        self.app = app
        self.keyring = keyring
        self._local_only = not (keyring.required or settings.allow_open)
        self._origins = frozenset(origin.encode() for origin in settings.cors_origins)
        self._bulk_limit = ("SERVE_MAX_BODY", settings.max_body)
        self._arrow_limit = ("SERVE_MAX_ARROW_BODY", settings.max_arrow_body)
        self._other_limit = min(
            self._bulk_limit, ("more than this path takes", _SMALL), key=lambda limit: limit[1]
        )
        self._rates = (
            RateLimit(settings.rate_limit, settings.working_folder / "rates.bin")
            if settings.rate_limit
            else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and the name of its key with it.

        Raises:
            ProblemError: 400, 401, 403, 413, 415 or 429, it may not come in.
        """
        if scope["type"] != "lifespan":
            headers = dict(scope["headers"])
            key = self._check(scope, headers)
            scope["client_name"] = key and key.name
            if b"content-length" in headers or b"transfer-encoding" in headers:
                receive = self._bounded(scope, headers, receive)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> Key | None:
        """Let a request in; returns its key."""
        if len(headers) != len(scope["headers"]):
            _check_once(scope["headers"])
        if b"host" not in headers and scope["http_version"] == "1.1":
            raise ProblemError(
                400, "there is no Host header, which HTTP/1.1 requires", "host", _CLOSE
            )
        path = path_of(scope)
        if self._local_only:
            self._check_local(scope, headers)
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        key = self.keyring.find(secret.strip()) if scheme.lower() == b"bearer" else None
        # Probes get their answer, however much is asked.
        if self._rates is not None and path not in PROBES:
            _count(self._rates, scope, key)
        if self.keyring.required:
            _check_role(key, role_for(path), headers)
        return key

    def _bounded(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Receive a body, up to its limit; the scope says whether it is `unread`."""
        _check_codings(headers)
        path = path_of(scope)
        setting, limit = self._bulk_limit if path in _BULK else self._other_limit
        if path == "/batch-predict" and headers.get(b"content-type", b"").startswith(_ARROW):
            setting, limit = self._arrow_limit
        declared = headers.get(b"content-length", b"0")
        if len(declared) > _DIGITS or int(declared) > limit:
            raise _too_large(setting, limit)
        scope["unread"] = True
        size = 0

        async def receive_bounded() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                scope["unread"] = message.get("more_body", False)
                if size > limit:
                    raise _too_large(setting, limit)
            return message

        return receive_bounded

    def _check_local(self, scope: Scope, headers: Headers) -> None:
        """Refuse what comes from elsewhere through something on this machine."""
        if not _FORWARDED.isdisjoint(headers):
            raise ProblemError(403, f"this server has no API keys; {REMEDY}", "no-keys")
        host = headers.get(b"host", b"")
        # `_name` caches names.
        if len(host) > _LONGEST_HOST:
            raise ProblemError(
                400,
                f"the Host header has {len(host):,} bytes; send a name with its port, of at most "
                f"{_LONGEST_HOST}",
                "host",
            )
        name = _name(host)
        # The name of a page of another site may point to this machine (DNS rebinding).
        if name and name != (scope.get("server") or ("",))[0] and not is_local(name):
            raise ProblemError(
                403, f"without API keys this server answers to localhost only; {REMEDY}", "host"
            )
        # Its pictures and forms may point here too, and browsers say so (Fetch Metadata, W3C).
        if headers.get(b"sec-fetch-site") == b"cross-site" and self._origins.isdisjoint(
            {headers.get(b"origin"), b"*"}
        ):
            raise ProblemError(
                403,
                "a page of another site asked for this; open the address yourself, or let the "
                "page's scripts ask (SERVE_CORS_ORIGINS)",
                "cross-site",
            )


def _check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    counts = Counter(name for name, _ in headers)
    for name in _ONCE:
        if counts[name] > 1:
            detail = f"{name.decode()}: this header came more than once; send it once"
            raise ProblemError(400, detail, "repeated-header")


def _check_codings(headers: Headers) -> None:
    """Refuse a body that something on its way may have read otherwise, or that is compressed."""
    coding = headers.get(b"transfer-encoding", b"chunked")
    if coding.strip().lower() != b"chunked":
        raise ProblemError(
            400,
            f"Transfer-Encoding is {coding.decode('latin-1')!r}; send `chunked` or Content-Length",
            "transfer-encoding",
            _CLOSE,
        )
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"identity":
        raise ProblemError(
            415,
            f"the body is encoded as {encoding.decode('latin-1')}; send it as it is, without "
            "Content-Encoding",
            "content-encoding",
        )


def _check_role(key: Key | None, role: str | None, headers: Headers) -> None:
    if role is None or (key is not None and key.allows(role)):
        return
    if key is not None:
        raise ProblemError(
            403,
            f"the key of {key.name} does not have the role {role}, which this needs",
            "role",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{role}"'},
        )
    if b"authorization" in headers:
        raise ProblemError(
            401,
            "this server does not know this key; send one as `Authorization: Bearer KEY`",
            "unknown-key",
            {"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    raise ProblemError(
        401,
        "this needs a key; send it as `Authorization: Bearer KEY`",
        "no-key",
        {"WWW-Authenticate": "Bearer"},
    )


def _count(limit: RateLimit, scope: Scope, key: Key | None) -> None:
    client = scope.get("client") or ("", None)
    wait = ceil(limit.ask(f"key {key.name}" if key else rates.of_address(client[0])))
    if wait:
        raise ProblemError(
            429,
            f"{limit.limit} requests a minute are allowed (SERVE_RATE_LIMIT); wait {wait} s",
            "rate-limit",
            {"Retry-After": str(wait)},
        )


def _too_large(setting: str, limit: int) -> ProblemError:
    # The rest of the body is not read.
    return ProblemError(
        413, f"the body is larger than {limit:,} bytes ({setting})", "body-too-large", _CLOSE
    )


def path_of(scope: Mapping[str, Any]) -> str:
    """The path of a request as routes know it: `uvicorn --root-path` puts another before it."""
    path: str = scope["path"]
    below = path.removeprefix(scope.get("root_path", ""))
    return below if below.startswith("/") else path


@lru_cache(maxsize=1024)
def _name(host: bytes) -> str:
    """The name in a `Host` header, without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
