"""Forecast a stream on all cores, and keep inputs and outputs while the next rows are computed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa

from serve.checkout.bundle import Model
from serve.checkout.bundle_files import reason
from serve.forecasts import stream
from serve.forecasts.batch_files import Meta, Store
from serve.forecasts.forecast_errors import UnavailableError
from serve.forecasts.stream import Stream
from stages.forecast.contract import FORECAST_OUTPUTS

TOGETHER = 2
"""Streams that are read or computed at a time; each holds its whole body in memory."""

GROUP = 8
"""Blocks of a row group of Parquet: small ones cost more than their rows."""

OUTPUTS = pa.schema([(name, pa.float32()) for name in FORECAST_OUTPUTS])


class Bulk:
    """The bulk forecasts of one server process.

    Args:
        var: where the server keeps files of its own.
        wait: seconds that a stream may wait for its turn.
    """

    def __init__(self, var: Path, wait: float) -> None:
        self.store = Store(var)
        self._wait = wait
        self._turns = asyncio.Semaphore(TOGETHER)
        self._pool = ThreadPoolExecutor(pa.cpu_count(), thread_name_prefix="bulk")

    def stop(self) -> None:
        """End its threads."""
        self._pool.shutdown()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until there is room for another stream.

        Raises:
            UnavailableError: there was none in time.
        """
        try:
            async with asyncio.timeout(self._wait):
                await self._turns.acquire()
        except TimeoutError:
            raise UnavailableError(
                f"{TOGETHER} other streams are being computed; try again", "busy"
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    def forecast(self, rows: Stream, model: Model, meta: Meta) -> pa.Buffer:
        """Answer a stream; returns the answer's stream once the batch is durable.

        Raises:
            InvalidInputError: a row is wrong.
            UnavailableError: the batch cannot be stored.
        """
        schema = pa.unify_schemas([rows.schema, OUTPUTS])
        passed = [schema.field(name) for name in rows.passed]
        answer = pa.schema([*passed, *OUTPUTS], metadata=meta.text())
        sink = pa.BufferOutputStream()
        try:
            with (
                self.store.writer(meta, schema) as parquet,
                pa.ipc.new_stream(sink, answer) as writer,
            ):
                blocks = self._computed(rows, model)
                while group := list(islice(blocks, GROUP)):
                    table = pa.Table.from_batches(group, schema=schema)
                    parquet.write_table(table, row_group_size=table.num_rows)
                    writer.write_table(table.select(answer.names).combine_chunks())
        except OSError as error:
            raise UnavailableError(
                f"the batch cannot be stored in {self.store.folder}: {reason(error)}", "store-away"
            ) from None
        return sink.getvalue()

    def _computed(self, rows: Stream, model: Model) -> Iterator[pa.RecordBatch]:
        """Blocks with their outputs, in order; a bounded number are computed ahead."""
        ahead: deque[Future[pa.RecordBatch]] = deque()
        try:
            for number, block in enumerate(rows.blocks()):
                ahead.append(self._pool.submit(_compute, block, model, number * stream.BLOCK))
                if len(ahead) > 2 * GROUP:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _compute(block: pa.RecordBatch, model: Model, first: int) -> pa.RecordBatch:
    inputs = stream.inputs(block, model, first)
    outputs = model.session(inputs.features, inputs.symbol)
    stream.check_finite(outputs, first)
    return pa.RecordBatch.from_arrays(
        [*block.columns, *(pa.array(outputs[name]) for name in FORECAST_OUTPUTS)],
        names=[*block.schema.names, *FORECAST_OUTPUTS],
    )
