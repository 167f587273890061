"""Forecast a stream on all cores, and keep inputs and outputs while the next rows are computed."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from serve.checkout.bundle import Model
from serve.edge.problems import ProblemError
from serve.forecasts import stream
from serve.forecasts.batch_files import Meta, Store
from stages.forecast.contract import FORECAST_OUTPUTS

TOGETHER = 2
"""Streams that are read or computed at a time; each holds its whole body in memory."""

GROUP = 8
"""Blocks of a row group of Parquet: small ones cost more than their rows."""

RETRY_AFTER = {"Retry-After": "1"}

OUTPUTS = pa.schema([(name, pa.float32()) for name in FORECAST_OUTPUTS])


class Bulk:
    """The bulk forecasts of one server process.

    Args:
        var: where the server keeps files of its own.
        patience: seconds that a stream may wait for its turn.
    """

    def __init__(self, var: Path, patience: float) -> None:
        self.store = Store(var)
        self._patience = patience
        self._turns = asyncio.Semaphore(TOGETHER)
        self._pool = ThreadPoolExecutor(cores(), thread_name_prefix="bulk")

    def stop(self) -> None:
        """End its threads."""
        self._pool.shutdown()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until there is room for another stream.

        Raises:
            ProblemError: 503, there was none in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise ProblemError(
                503, f"{TOGETHER} other streams are being computed; try again", "busy", RETRY_AFTER
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    async def forecast(self, given: stream.Stream, model: Model, meta: Meta) -> pa.Buffer:
        """Answer a stream; returns the answer's stream once the batch is durable.

        Raises:
            ProblemError: 422, a row is wrong; 503, the batch cannot be stored.
        """
        return await asyncio.to_thread(self._forecast, given, model, meta)

    def _forecast(self, given: stream.Stream, model: Model, meta: Meta) -> pa.Buffer:
        kept = pa.unify_schemas([given.schema, OUTPUTS])
        passed = [kept.field(name) for name in given.passed]
        answer = pa.schema([*passed, *OUTPUTS], metadata=meta.text())
        sink = pa.BufferOutputStream()
        try:
            with (
                self.store.writer(meta, kept) as parquet,
                pa.ipc.new_stream(sink, answer) as writer,
            ):
                for group in self._groups(given, model):
                    table = pa.Table.from_batches(group, schema=kept)
                    parquet.write_table(table, row_group_size=table.num_rows)
                    writer.write_table(table.select(answer.names).combine_chunks())
        except OSError as error:
            raise ProblemError(
                503,
                f"the batch cannot be stored in {self.store.folder}: "
                f"{(error.strerror or str(error)).lower()}",
                "store-away",
                RETRY_AFTER,
            ) from None
        return sink.getvalue()

    def _groups(self, given: stream.Stream, model: Model) -> Iterator[list[pa.RecordBatch]]:
        group = []
        for block in self._computed(given, model):
            group.append(block)
            if len(group) == GROUP:
                yield group
                group = []
        if group:
            yield group

    def _computed(self, given: stream.Stream, model: Model) -> Iterator[pa.RecordBatch]:
        """Blocks with their outputs, in order; some are computed ahead, never many."""
        ahead: deque[Future[pa.RecordBatch]] = deque()
        first = 0
        try:
            for block in stream.blocks(given.batches):
                ahead.append(self._pool.submit(_compute, block, model, first))
                first += block.num_rows
                if len(ahead) > 2 * GROUP:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _compute(block: pa.RecordBatch, model: Model, first: int) -> pa.RecordBatch:
    given = stream.inputs(block, model, first)
    found = model.session(given.features, given.scale, given.symbol)
    if not all(np.isfinite(found[name]).all() for name in FORECAST_OUTPUTS):
        raise stream.overflow(found, first)
    return pa.RecordBatch.from_arrays(
        [*block.columns, *(pa.array(found[name]) for name in FORECAST_OUTPUTS)],
        names=[*block.schema.names, *FORECAST_OUTPUTS],
    )


def cores() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
