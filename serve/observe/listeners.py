"""The live feed: what all workers answer, for those who listen to this one.

A forecast is in the prediction log before its caller has it, and an Arrow stream is a file of its
own. So a worker that has readers looks there for what is new. Workers need not know of each other,
and a log that several machines share is told as a whole.
"""

import asyncio
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from predictions import queries
from predictions.access import Access
from predictions.engine import LogDownError
from predictions.schema import first_id, moment, written
from serve.forecasts import batch_files
from serve.forecasts.prediction import answer

PERIOD = 0.25
"""Seconds between looks, so that readers have a forecast within a second on a busy machine too.
A look takes 1 ms of a thread where nothing is new, and 30 ms at 2,000 forecasts a second."""

TOGETHER = 1_000
"""Forecasts of one look; the next look follows at once."""

QUEUE = 10_000
"""Messages that may wait for one reader: some batches of JSON."""

READERS = 100
"""Readers of one worker."""


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
        reads: of the prediction log.
        batches: the folder of the files of Arrow streams.
        log_timeout: seconds that a row may take to be durable after it was given its id.
    """

    def __init__(self, reads: Access, batches: Path, log_timeout: float) -> None:
        self._reads = reads
        self._batches = batches
        self._overlap = timedelta(seconds=log_timeout + 1)
        self._readers: set[Reader] = set()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Listen, from within a running loop, to what is asked for from now on.

        Raises:
            CrowdedError: too many others do.
        """
        if len(self._readers) >= READERS:
            raise CrowdedError(f"{READERS} readers are listening to this worker already")
        if not self._readers:
            self._loop = asyncio.get_running_loop()
            first = first_id(datetime.now(UTC))
            followers = (self._follow_log(first), self._follow_batches(first))
            self._following = [self._loop.create_task(follower) for follower in followers]
        reader = Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers:
                for task in self._following:
                    task.cancel()

    def tell(self, kind: str, item: Mapping[str, Any]) -> None:
        """Send a message to those who listen to this worker; from any thread."""
        if self._readers:
            self._loop.call_soon_threadsafe(self._deliver, [message(kind, item)])

    def _deliver(self, texts: Sequence[str]) -> None:
        for reader in self._readers:
            reader.put(texts)

    async def _follow_log(self, first: str) -> None:
        """Tell the forecasts from an id on, each once.

        Ids sort by the time at which they were given, but rows become durable in another order. So
        every look goes back as far as a row may be late.
        """
        sent_ids: set[str] = set()
        while True:
            settled = first_id(datetime.now(UTC) - self._overlap)
            look = partial(_forecasts, first=first, sent_ids=sent_ids)
            try:
                texts = await self._reads.run(look)
            except LogDownError:
                # Nobody gets a forecast either, and /health says why.
                await asyncio.sleep(PERIOD)
                continue
            self._deliver([*texts.values()])
            sent_ids.update(texts)
            if len(texts) < TOGETHER:
                first = max(first, settled)
                sent_ids = {identifier for identifier in sent_ids if identifier >= first}
                await asyncio.sleep(PERIOD)

    async def _follow_batches(self, first: str) -> None:
        """Tell the Arrow streams from an id on, each once."""
        sent_names: set[str] = set()
        while True:
            texts = await asyncio.to_thread(_arrow_batches, self._batches, first, sent_names)
            self._deliver([*texts.values()])
            sent_names.update(texts)
            await asyncio.sleep(PERIOD)


def _forecasts(connection: Connection, first: str, sent_ids: Collection[str]) -> dict[str, str]:
    """Messages of new forecasts by id, the oldest first."""
    rows = queries.since(connection, first, sent_ids, TOGETHER)
    return {
        row["id"]: message("prediction", answer(row, row["id"], written(moment(row["created_at"]))))
        for row in rows
    }


def _arrow_batches(folder: Path, first: str, sent_names: Collection[str]) -> dict[str, str]:
    """Messages of new Arrow streams by file name, the oldest first."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # four times a second, of many files
    except OSError:
        return {}
    texts = {}
    for name in sorted(name for name in names if name >= first and name not in sent_names):
        try:
            meta = batch_files.Meta.of(pq.read_schema(folder / name).metadata)
        except (OSError, pa.ArrowException, ValueError):
            # Not ours, or removed just now.
            continue
        texts[name] = message("batch", meta.model_dump())
    return texts


def message(kind: str, item: Mapping[str, Any]) -> str:
    """One message, as JSON."""
    return orjson.dumps({"type": kind, "data": item}).decode()
