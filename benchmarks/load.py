"""A load generator: clients that ask one HTTP server without a pause, each on one connection.

Speaks just enough of HTTP/1.1 to send the same bytes again and again and to find the end of each
answer, so that it takes a fraction of the time that any server needs for the other side.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

from uvicorn.loops.auto import auto_loop_factory

from benchmarks.panel import ROOT


@dataclass(frozen=True)
class Load:
    """What clients saw.

    Attributes:
        seconds: that were counted, after a warm-up.
        requests: answered in them.
        failures: answers whose status was not 200.
        p50: median time to an answer, in milliseconds.
        p99: 99th percentile of it.
    """

    seconds: float
    requests: int
    failures: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, times: list[tuple[float, float]]) -> None:
        self._request = request
        self._times = times
        self._buffer = b""
        self._sent = 0.0
        self.failures = 0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self._buffer = b""
        now = time.perf_counter()
        self._times.append((now, now - self._sent))
        self.failures += not head.startswith(b"HTTP/1.1 200")
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without a length: {head!r}")


async def _run(port: int, request: bytes, clients: int, warm_up: float, seconds: float) -> Load:
    times: list[tuple[float, float]] = []
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(lambda: _Client(request, times), "127.0.0.1", port)
        for _ in range(clients)
    ]
    start = time.perf_counter() + warm_up
    await asyncio.sleep(warm_up + seconds)
    end = time.perf_counter()
    lost = sum(client.closed for _, client in connections)
    for transport, _ in connections:
        transport.abort()
    if lost:
        raise SystemExit(f"{lost} of {clients} connections were closed by the server")
    latencies = sorted(took for at, took in times if start <= at <= end)
    quantiles = statistics.quantiles(latencies, n=100)
    return Load(
        seconds=end - start,
        requests=len(latencies),
        failures=sum(client.failures for _, client in connections),
        p50=1e3 * quantiles[49],
        p99=1e3 * quantiles[98],
    )


def request(path: str, body: object, method: str = "POST") -> bytes:
    """The bytes of a request with a JSON body."""
    content = json.dumps(body).encode()
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    ).encode() + content


def measure(  # noqa: PLR0913  # the parameters of a load
    port: int,
    path: str,
    body: object,
    *,
    clients: int = 32,
    warm_up: float = 1.0,
    seconds: float = 5.0,
) -> Load:
    """Load a server of this machine from a process of its own."""
    arguments = [port, path, body, clients, warm_up, seconds]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", json.dumps(arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the load failed: {done.stderr}")
    return Load(**json.loads(done.stdout))


def main() -> None:
    """Run one load, as `measure` asks, and print its figures as JSON."""
    port, path, body, clients, warm_up, seconds = json.loads(sys.argv[1])
    # That of uvicorn: uvloop, where there is one.
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        figures = runner.run(_run(port, request(path, body), clients, warm_up, seconds))
    sys.stdout.write(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
