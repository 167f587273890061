"""An Arrow stream over HTTP, kept on disk, against calling the ONNX session on the same array."""

import http.client
import io
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks import contestants
from benchmarks.panel import ROOT
from benchmarks.report import Report, required
from stages.common.paths import DATASETS, MODELS
from stages.forecast.session import Session

ROWS = 100_000
ROUNDS = 7
BOUND = 0.7
"""Rows a second of the stream over those of the session, at least."""

PACKAGES = ("fastapi", "uvicorn", "onnxruntime", "pyarrow", "polars")
HEADERS = {"Content-Type": "application/vnd.apache.arrow.stream"}


@dataclass(frozen=True)
class Race:
    """Median seconds for the same rows.

    Attributes:
        served: from the first byte sent to the last byte read, the batch's file on disk.
        called: of one call of the session on the array, on its one thread.
    """

    horizon: str
    served: float
    called: float

    @property
    def ratio(self) -> float:
        """Rows a second of the stream over those of the call."""
        return self.called / self.served


def measure(project: Path = ROOT, rows: int = ROWS, rounds: int = ROUNDS) -> Report:
    """Race one model that works (a booster) and the one of the long horizon as it is."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = contestants.build(project, work)
        server = contestants.ours(model, work)
        # The server may use all cores, as it does for its users.
        with contestants.running(server, work, threads={}):
            races = [
                race(horizon, model.folder, table(project, horizon, rows), server.port, rounds)
                for horizon in ("short", "long")
            ]
    return report(races, rows)


def race(horizon: str, served: Path, rows: pl.DataFrame, port: int, rounds: int) -> Race:
    """Send rows as a stream and call the session in turn; both must give the same values."""
    card = json.loads((served / MODELS / horizon / "card.json").read_text(encoding="utf-8"))
    features = np.ascontiguousarray(rows.select(card["features"]).to_numpy(), np.float32)
    stream = io.BytesIO()
    columns = rows.select(pl.col(card["features"]).cast(pl.Float32))
    columns.write_ipc_stream(stream, compat_level=pl.CompatLevel.oldest())
    session = Session(served / MODELS / horizon / "model.onnx")

    streamed, called = [], []
    for turn in range(rounds + 1):
        start = time.perf_counter()
        answer = ask(port, horizon, stream.getvalue())
        between = time.perf_counter()
        outputs = session(features)
        end = time.perf_counter()
        check(pl.read_ipc_stream(answer), outputs)
        if turn:  # the first warms up
            streamed.append(between - start)
            called.append(end - between)
    return Race(horizon, statistics.median(streamed), statistics.median(called))


def table(project: Path, horizon: str, rows: int) -> pl.DataFrame:
    """The training rows of a horizon over and over, until there are so many."""
    known = pl.read_parquet(project / DATASETS / horizon / "train.parquet")
    return pl.concat([known] * -(-rows // known.height)).head(rows)


def ask(port: int, horizon: str, content: bytes) -> bytes:
    """The answer to a stream.

    Raises:
        SystemExit: it was refused.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", f"/batch-predict?horizon={horizon}", content, HEADERS)
    answer = connection.getresponse()
    rows = answer.read()
    connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise SystemExit(f"the stream was refused: {rows.decode(errors='replace')}")
    return rows


def check(answer: pl.DataFrame, outputs: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Check that both gave the same, bit for bit.

    Raises:
        SystemExit: they did not; the race is void.
    """
    for name, values in outputs.items():
        if answer[name].to_numpy().tobytes() != values.tobytes():
            raise SystemExit(f"the stream has other values of {name} than the session")


def report(races: list[Race], rows: int) -> Report:
    """The table and the bounds."""
    lines = [
        (
            race.horizon,
            f"{1e3 * race.served:.0f}",
            f"{1e3 * race.called:.0f}",
            f"{rows / race.served / 1e3:,.0f}",
            f"{race.ratio:.2f}",
        )
        for race in races
    ]
    findings = [f"{race.horizon}: {required(race.ratio, BOUND, at_least=True)}." for race in races]
    header = ("model", "stream, ms", "session, ms", "thousand rows/s", "times the session")
    return Report(header, lines, findings, PACKAGES)
