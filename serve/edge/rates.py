"""Rate limits that the workers of one machine share: GCRA in a file that they all map.

The generic cell rate algorithm (ITU-T I.371, 1993) keeps one number for each caller: the moment at
which its requests so far would be over if they had come evenly. So a limit of 60 a minute lets 60
through at once, and then one a second. The library `limits` counts in one process, or in a server
such as Redis; workers without one could not share its counts.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

MINUTE: Final = 60.0

ROUNDING: Final = 1e-6
"""Seconds by which sums of floats may miss the limit."""

_SLOT: Final = struct.Struct("=Qd")
"""The hash of a caller, and its moment by the clock that all processes of a machine share."""

_WAYS: Final = 8
"""Slots that a caller may take; a new caller takes over the one with the earliest moment."""

_SLOTS: Final = struct.Struct("=" + _WAYS * "Qd")

_SETS: Final = 8192
"""Sets of slots; the file has 1 MiB."""


class RateLimit:
    """A number of requests a minute for each caller.

    Args:
        limit: requests a minute.
        path: the file that the workers share.
        clock: gives seconds, the same in every process.
    """

    def __init__(self, limit: int, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._spacing = MINUTE / limit
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = _SLOT.size * _WAYS * _SETS
        os.ftruncate(self._file, size)
        self._table = mmap.mmap(self._file, size)

    def ask(self, caller: str) -> float:
        """Count a request; returns the seconds that its caller has to wait, 0 if none."""
        tag, start = _place(caller)
        # Held for a microsecond. The system releases it when a process ends, however it ends.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            now = self._clock()
            offset, due = self._find(tag, start, now)
            due += self._spacing
            wait = due - now - MINUTE
            if wait > ROUNDING:
                return wait
            _SLOT.pack_into(self._table, offset, tag, due)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return 0.0

    def _find(self, tag: int, start: int, now: float) -> tuple[int, float]:
        """The slot of a caller, and its moment, which is at least now."""
        oldest, least = start, float("inf")
        slots = _SLOTS.unpack_from(self._table, start)
        for place in range(_WAYS):
            owner, due = slots[2 * place : 2 * place + 2]
            offset = start + place * _SLOT.size
            # The clock starts anew with the machine: a moment beyond a minute is older than that.
            if not now < due <= now + MINUTE + 1:
                due = now
            if owner == tag:
                return offset, due
            if due < least:
                oldest, least = offset, due
        return oldest, now


@lru_cache(maxsize=8192)
def _place(caller: str) -> tuple[int, int]:
    """The hash of a caller, never 0, and where its slots begin."""
    number = int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=8).digest(), "little") or 1
    return number, number % _SETS * _WAYS * _SLOT.size


@lru_cache(maxsize=8192)
def of_address(address: str) -> str:
    """The caller of an address. In IPv6 that is a network of 2^64 addresses, one subscriber's."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004  # of IP
        return address
    return str(ip_network((parsed, 64), strict=False))
