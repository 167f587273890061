"""Keys of the API: how they are made, stored and checked, and what and where they are needed.

A key is `NAME.SECRET`. The secret is 256 random bits, far beyond guessing, so a salted hash of the
key (keyed BLAKE2b, RFC 7693) is enough. The slow hashes of passwords (scrypt, argon2) defend what
people choose, and would slow down every request. This one takes 1 us.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from serve.file_state import stamp
from serve.server_settings import Settings
from stages.common.errors import StageError

ROLES: Final = ("predict", "label", "admin")

PROBES: Final = frozenset({"/health", "/health/live", "/health/ready"})
"""Paths of probes, which ask whether the server is well."""

OPEN: Final = PROBES | {"/", "/version", "/openapi.json", "/docs", "/redoc"}
"""Paths that need no key: for probes, and for callers who do not have a key yet."""

_ASSETS: Final = ("/docs/", "/redoc/")
"""Below them is what those pages load."""

_SCHEME = "blake2b"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LINE = re.compile(
    rf"(?P<name>{_NAME.pattern}):(?P<roles>[a-z,]+):{_SCHEME}:"
    r"(?P<salt>[0-9a-f]{32}):(?P<digest>[0-9a-f]{64})"
)

REMEDY = "make a key with `python -m serve keys add`, or set SERVE_ALLOW_OPEN=true"


class KeysError(StageError):
    """Keys cannot be read, written or made."""


class ExposedError(StageError):
    """The server would answer other machines without asking for a key."""


@dataclass(frozen=True)
class Key:
    """A key as it is stored.

    Attributes:
        name: of its holder; the logs have it.
        roles: what it allows; `admin` allows everything.
        salt: 16 random bytes.
        digest: BLAKE2b of the whole key under the salt.
    """

    name: str
    roles: frozenset[str]
    salt: bytes
    digest: bytes

    def allows(self, role: str) -> bool:
        """Whether it has a role."""
        return role in self.roles or "admin" in self.roles

    def __str__(self) -> str:
        """The line of a key file."""
        roles = ",".join(role for role in ROLES if role in self.roles)
        return f"{self.name}:{roles}:{_SCHEME}:{self.salt.hex()}:{self.digest.hex()}"


def role_for(path: str) -> str | None:
    """The role that a request for a path, or for its template, needs; None if it needs none."""
    if path in OPEN or path.startswith(_ASSETS):
        return None
    if path == "/labels" or path.startswith("/labels/"):
        return "label"
    return "admin" if path == "/metrics" else "predict"


def make(name: str, roles: Iterable[str]) -> tuple[str, Key]:
    """A new key, as its holder and as the server needs it.

    Raises:
        KeysError: the name has other characters than letters, digits, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise KeysError(
            f"{name!r} cannot be the name of a key: use up to 64 letters, digits, _ and -"
        )
    secret = f"{name}.{secrets.token_urlsafe(32)}"
    salt = secrets.token_bytes(16)
    return secret, Key(name, frozenset(roles), salt, _digest(salt, secret.encode()))


def parse(lines: Iterable[str], source: str) -> dict[str, Key]:
    """Keys by name, from lines as `Key.__str__` writes them, blank lines and comments.

    Raises:
        KeysError: a line is none of these, or a name comes twice. The message does not repeat it.
    """
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        roles = frozenset(match["roles"].split(",")) if match else frozenset()
        if match is None or not roles <= set(ROLES):
            raise KeysError(
                f"{source}: entry {number} is not a key; make one with `python -m serve keys add`"
            )
        if match["name"] in keys:
            raise KeysError(f"{source}: has two keys named {match['name']}")
        salt, digest = bytes.fromhex(match["salt"]), bytes.fromhex(match["digest"])
        keys[match["name"]] = Key(match["name"], roles, salt, digest)
    return keys


def read(path: Path) -> dict[str, Key]:
    """The keys of a file.

    Raises:
        KeysError: it cannot be read, or is not a key file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise KeysError(f"SERVE_KEYS_FILE={path}: {reason.lower()}") from None
    return parse(text.splitlines(), str(path))


class Keyring:
    """The keys of a server.

    Args:
        setting: the value of `SERVE_KEYS`.
        path: the file that `SERVE_KEYS_FILE` names.

    Raises:
        KeysError: either is wrong.
    """

    def __init__(self, setting: str = "", path: Path | None = None) -> None:
        self._setting_keys = parse(setting.split(), "SERVE_KEYS")
        self._path = path
        self._stamp: object = self
        self._keys: Mapping[str, Key] = self._setting_keys
        self.required = bool(self._setting_keys) or path is not None
        """Whether requests need a key. A file without keys lets nobody in."""
        self.refresh()

    def __iter__(self) -> Iterator[Key]:
        """Every key."""
        return iter(self._keys.values())

    def find(self, secret: bytes) -> Key | None:
        """The key that a request carries; None if the server does not know it."""
        name = secret.partition(b".")[0].decode("latin-1")
        key = self._keys.get(name, _NOBODY)
        right = hmac.compare_digest(_digest(key.salt, secret), key.digest)
        return key if right and key is not _NOBODY else None

    def refresh(self) -> bool:
        """Read the file again if it has changed; returns whether it has.

        Raises:
            KeysError: it is wrong; the keys stay as they were until it changes again.
        """
        if self._path is None or (state := stamp(self._path)) == self._stamp:
            return False
        self._stamp = state
        self._keys = {**read(self._path), **self._setting_keys}
        return True


def _digest(salt: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(secret, key=salt, digest_size=32).digest()


_NOBODY = Key("", frozenset(), bytes(16), bytes(32))
"""Stands in for a name that has no key, so that a wrong name takes as long as a wrong secret."""


def write(path: Path, keys: Sequence[Key]) -> None:
    """Replace a key file, readable by its owner only, and keep its comments.

    Raises:
        KeysError: it cannot be written.
    """
    key_lines = {str(key) for key in keys}
    try:
        former = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines = [
            line for line in former if line.lstrip().startswith("#") or line.strip() in key_lines
        ]
        lines += [line for line in map(str, keys) if line not in {each.strip() for each in lines}]
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise KeysError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def check_exposure(settings: Settings, keyring: Keyring, host: str | None) -> None:
    """Refuse to listen to other machines without keys.

    Args:
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
