"""The server under load: against an empty handler, mlflow and MLServer; more workers; its memory.

All contestants answer with the same booster, on one worker, to 32 clients that ask without a pause,
and to one. Two are this server with a challenger as large as the model that serves. They take
turns, so that a machine that slows down does so for all of them; each figure is the median of the
rounds, a ratio that of the ratios within a round.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import contestants, load
from benchmarks.contestants import Contestant
from benchmarks.load import Load
from benchmarks.panel import ROOT
from benchmarks.report import Report, required

if TYPE_CHECKING:
    import subprocess

ROUNDS = 5
SECONDS = 4.0
CLIENTS = 32
WARM = 20_000
HOUR = 360_000
"""Requests, at least, after which the memory must be the same: an hour's worth at a hundred a
second."""

FLAT = 1.05
"""Memory after that over memory before, at most."""

PACKAGES = ("fastapi", "uvicorn", "onnxruntime", "sqlalchemy", "xgboost-cpu")
BOUNDS = {"an empty FastAPI handler": 0.75, "mlflow models serve": 5.0, "MLServer": 3.0}
"""Requests a second of ours over those of each, at least."""


Rounds = Sequence[Sequence[Load]]
"""The figures of each contestant in each round, as the clients see them."""


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> Report:
    """Race all contestants, then two workers against one, then an hour's worth of requests."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = contestants.build(ROOT, work)
        peers = contestants.peers()
        field = [
            contestants.ours(model, work),
            *(contestants.trying(model, work, mode) for mode in ("shadow", "canary")),
            contestants.empty(),
            contestants.mlflow(model, work, peers),
            contestants.mlserver(model, work, peers),
        ]
        many, one = race(field, work, rounds, seconds)
        two = scale(model, work, rounds, seconds)
        return report(field, many, one, two, memory(model, work))


def race(
    field: Sequence[Contestant], work: Path, rounds: int, seconds: float
) -> tuple[Rounds, Rounds]:
    """Load the contestants in turn, with many clients and then with one; the rounds of each."""
    many: list[list[Load]] = [[] for _ in field]
    one: list[list[Load]] = [[] for _ in field]
    with ExitStack() as stack:
        for contestant in field:
            stack.enter_context(contestants.running(contestant, work))
        for contestant in field:
            ask(contestant, CLIENTS, 1.0)
        for _ in range(rounds):
            for index, contestant in enumerate(field):
                many[index].append(ask(contestant, CLIENTS, seconds))
        for _ in range(rounds):
            for index, contestant in enumerate(field):
                one[index].append(ask(contestant, 1, seconds / 2))
    return many, one


def ask(contestant: Contestant, clients: int, seconds: float) -> Load:
    """Load one contestant.

    Raises:
        SystemExit: a request failed.
    """
    figures = load.measure(
        contestant.port, contestant.path, contestant.body, clients=clients, seconds=seconds
    )
    if figures.failures:
        raise SystemExit(f"{contestant.name}: {figures.failures} of {figures.requests} failed")
    return figures


def _median(loads: Sequence[Load]) -> Load:
    return sorted(loads, key=lambda load: load.rate)[len(loads) // 2]


def scale(model: contestants.Model, work: Path, rounds: int, seconds: float) -> float:
    """Requests a second of two workers over those of one, in turn; the clients share the cores."""
    loads: dict[int, list[Load]] = {1: [], 2: []}
    with ExitStack() as stack:
        field = {}
        for workers in loads:
            folder = work / f"workers-{workers}"
            folder.mkdir()
            field[workers] = contestants.ours(model, folder, workers)
            stack.enter_context(contestants.running(field[workers], work))
            ask(field[workers], CLIENTS, 2.0)
        for _ in range(rounds):
            for workers, contestant in field.items():
                loads[workers].append(ask(contestant, 2 * CLIENTS, seconds))
    return statistics.median(_ratios(loads[2], loads[1]))


def _ratios(ours: Sequence[Load], theirs: Sequence[Load]) -> list[float]:
    """Of each round, requests a second over those of another."""
    return [our.rate / their.rate for our, their in zip(ours, theirs, strict=True)]


class Memory(NamedTuple):
    """Resident memory, in MB, after so many requests."""

    requests: int
    resident: float


def memory(model: contestants.Model, work: Path) -> list[Memory]:
    """The memory after a warm-up, and after as many requests as an hour brings."""
    folder = work / "memory"
    folder.mkdir()
    contestant = contestants.ours(model, folder)
    with contestants.running(contestant, work) as process:
        memory = []
        for wanted in (WARM, HOUR):
            requests, start = 0, time.monotonic()
            while requests < wanted and time.monotonic() - start < 1200:  # noqa: PLR2004  # a bound
                requests += ask(contestant, CLIENTS, 20.0).requests
            memory.append(Memory(requests, _resident(process)))
        return memory


def _resident(process: "subprocess.Popen[bytes]") -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1e3


def report(
    field: Sequence[Contestant],
    many: Rounds,
    one: Rounds,
    two: float,
    memory: Sequence[Memory],
) -> Report:
    """The table and the bounds.

    Args:
        field: ours, and those that it is compared with.
        many: of 32 clients.
        one: of one client.
        two: requests a second of two workers over those of one.
        memory: memory after a warm-up and at the end.
    """
    ratios = [_ratios(many[0], loads) for loads in many]
    times = [statistics.median(values) for values in ratios]
    rows = [
        (
            contestant.name,
            f"{crowd.rate:,.0f}",
            f"{ratio:.2f}",
            f"{crowd.p50:.1f}",
            f"{crowd.p99:.1f}",
            f"{alone.p50:.2f}",
            f"{alone.p99:.2f}",
        )
        for contestant, ratio, crowd, alone in zip(
            field, times, map(_median, many), map(_median, one), strict=True
        )
    ]
    first, last = memory
    grown = last.resident / first.resident
    findings = [
        f"{contestant.name}: ours answers {ratio:.2f} times as many ({min(values):.2f} to "
        f"{max(values):.2f} in single rounds); "
        f"{required(ratio, BOUNDS[contestant.name], at_least=True)}."
        for contestant, values, ratio in zip(field, ratios, times, strict=True)
        if contestant.name in BOUNDS
    ]
    findings += [
        f"Two workers answer {two:.2f} times as many as one; the clients take part of both cores.",
        (
            f"Resident memory is {first.resident:.0f} MB after {first.requests:,} requests and "
            f"{last.resident:.0f} MB after {last.requests:,} more; "
            f"{grown:.2f} times as much; {required(grown, FLAT)}."
        ),
    ]
    header = (
        *("server", "requests/s", "ours, times", "p50, ms", "p99, ms"),
        *("one client: p50, ms", "p99, ms"),
    )
    return Report(header, rows, findings, PACKAGES)
