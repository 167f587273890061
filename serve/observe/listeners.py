"""The live feed: what every worker of the machine answers, to all who listen to any of them.

A worker that has readers owns a datagram socket in a folder that all workers share; it is there
only as long as they are. Who publishes sends to every socket that is there, without waiting: what a
worker does not take in time is lost, and how much is told. Where nobody listens, nothing is sent.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orjson

log = logging.getLogger("serve")

FOLDER = "live"
SUFFIX = ".sock"

REFRESH = 0.1
"""Seconds between looks for sockets of other workers."""

GATHER = 0.01
"""Seconds that messages wait for others to go with them."""

DATAGRAM = 150_000
"""Bytes that go together; Linux takes 200,000 by default, but only ten datagrams at a time."""

QUEUE = 10_000
"""Messages that may wait for one reader: some batches of JSON."""

BACKLOG = 10_000
"""Messages that may wait for another worker to take them."""

READERS = 100
"""Readers of one worker."""

LONGEST_ADDRESS = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""


class CrowdedError(Exception):
    """A worker has as many readers as it takes."""


class Reader:
    """One who listens.

    Attributes:
        messages: JSON texts that wait to be sent.
        slow: is set when there were too many of them.
    """

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue(QUEUE)
        self.slow = asyncio.Event()

    def put(self, texts: Sequence[str]) -> None:
        """Let messages wait; a reader that is too slow gets no more."""
        try:
            for text in texts:
                self.messages.put_nowait(text)
        except asyncio.QueueFull:
            self.slow.set()


class Live:
    """The feed of one worker.

    Args:
        var: where the server keeps files of its own, the same for every worker.
    """

    def __init__(self, var: Path) -> None:
        self._folder = var / FOLDER
        self._name = f"{os.getpid()}-{id(self):x}{SUFFIX}"
        self._readers: set[Reader] = set()
        self._others: frozenset[str] = frozenset()
        self._looked = -REFRESH
        self._waiting: list[bytes] = []
        self._outgoing: dict[str, deque[_Part]] = {}
        self._again: asyncio.TimerHandle | None = None
        self._lost: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: socket.socket | None = None
        self._outbox: socket.socket | None = None
        self._handle: int | None = None

    def start(self) -> None:
        """Begin, from within a running loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End; readers have gone by then."""
        self._close_inbox()
        if self._again is not None:
            self._again.cancel()
        if self._outbox is not None:
            self._outbox.close()
        if self._handle is not None:
            os.close(self._handle)
        self._loop = self._outbox = self._handle = None

    @property
    def heard(self) -> bool:
        """Whether anybody listens, here or at another worker."""
        if time.monotonic() - self._looked > REFRESH:
            self._look()
        return bool(self._readers or self._others)

    def publish(self, kind: str, *items: Mapping[str, Any]) -> None:
        """Tell those who listen to any worker, soon."""
        if self._loop is None:
            return
        if not self._waiting:
            self._loop.call_later(GATHER, self._flush)
        self._waiting += (message(kind, item) for item in items)

    def tell_own(self, kind: str, item: Mapping[str, Any]) -> None:
        """Tell those who listen to this worker; from any thread."""
        if self._loop is not None and self._readers:
            self._loop.call_soon_threadsafe(self._deliver, [message(kind, item)])

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Listen. Nothing is missed from `REFRESH` seconds on.

        Raises:
            CrowdedError: too many others do.
        """
        if len(self._readers) >= READERS:
            raise CrowdedError(f"{READERS} readers are listening to this worker already")
        if not self._readers:
            self._open_inbox()
        found = Reader()
        self._readers.add(found)
        try:
            yield found
        finally:
            self._readers.discard(found)
            if not self._readers:
                self._close_inbox()

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            names = os.listdir(self._folder)  # noqa: PTH208  # on the hot path, ten times a second
        except OSError:
            names = []
        self._others = frozenset(
            name for name in names if name.endswith(SUFFIX) and name != self._name
        )

    def _flush(self) -> None:
        messages, self._waiting = self._waiting, []
        self._deliver(messages)
        for name in self._others:
            parts = self._outgoing.setdefault(name, deque())
            if sum(part.messages for part in parts) + len(messages) > BACKLOG:
                self._lost[name] += len(messages)
                continue
            lost = self._lost.pop(name, 0)
            told = [message("lost", {"count": lost})] if lost else []
            parts.extend(_parts([*told, *messages]))
        self._send()

    def _send(self) -> None:
        """Send what waits, as much as others take now; the rest is tried again soon."""
        for name, parts in list(self._outgoing.items()):
            while parts and self._sent(name, parts[0]):
                parts.popleft()
            if not parts or name not in self._others:
                del self._outgoing[name]
        if self._again is not None:
            self._again.cancel()
        self._again = None
        if self._outgoing and self._loop is not None:
            self._again = self._loop.call_later(GATHER, self._send)

    def _sent(self, name: str, part: "_Part") -> bool:
        """Whether a part has gone out, or never will."""
        if self._outbox is None:
            self._outbox = _socket()
        try:
            self._outbox.sendto(part.content, self._address(name))
        except BlockingIOError:
            return False
        except (ConnectionRefusedError, FileNotFoundError):
            # Of a worker that was killed, or has just lost its last reader.
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()
            self._others -= {name}
            return False
        except OSError:
            self._lost[name] += part.messages
        return True

    def _deliver(self, messages: Sequence[bytes]) -> None:
        texts = [text.decode() for text in messages]
        for reader in self._readers:
            reader.put(texts)

    def _receive(self) -> None:
        inbox = self._inbox
        with contextlib.suppress(BlockingIOError):
            while inbox is not None:
                self._deliver(inbox.recv(2 * DATAGRAM).split(b"\n"))

    def _open_inbox(self) -> None:
        if self._loop is None:
            return
        inbox = _socket()
        try:
            # Who may write to it may invent predictions: its owner alone.
            self._folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            inbox.bind(self._address(self._name))
        except OSError as error:
            inbox.close()
            log.warning("live: predictions of other workers are not heard: %s", error)
            return
        self._inbox = inbox
        self._loop.add_reader(inbox.fileno(), self._receive)

    def _close_inbox(self) -> None:
        if self._inbox is not None and self._loop is not None:
            self._loop.remove_reader(self._inbox.fileno())
            self._inbox.close()
            (self._folder / self._name).unlink(missing_ok=True)
        self._inbox = None

    def _address(self, name: str) -> str:
        """The path of a socket, short enough for one."""
        path = str(self._folder.resolve() / name)
        if len(path.encode()) <= LONGEST_ADDRESS:
            return path
        if self._handle is None:
            self._handle = os.open(self._folder, os.O_RDONLY)
        return f"/proc/self/fd/{self._handle}/{name}"


def _socket() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    with contextlib.suppress(OSError):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DATAGRAM)
    return found


def message(kind: str, item: Mapping[str, Any]) -> bytes:
    """One message, as JSON."""
    return orjson.dumps({"type": kind, "data": item})


class _Part(NamedTuple):
    """Messages that go together."""

    content: bytes
    messages: int


def _parts(messages: Sequence[bytes]) -> Iterator[_Part]:
    part: list[bytes] = []
    size = 0
    for text in messages:
        if part and size + len(text) > DATAGRAM:
            yield _Part(b"\n".join(part), len(part))
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield _Part(b"\n".join(part), len(part))
