"""Look through the messages of an Arrow IPC stream before anything is made of them."""

import struct

import pyarrow as pa

from serve.edge.problems import ProblemError

MOST_BATCHES = 10_000
"""Record batches of a stream; each costs some microseconds, whatever its rows."""

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def survey(buffer: pa.Buffer) -> int:
    """Count the rows of a stream by its messages alone, before anything is made of them.

    Raises:
        ProblemError: 422, it is no whole stream, has no rows, or is compressed: a few bytes could
            then claim any amount of memory.
    """
    if not buffer.size:
        raise ProblemError(422, "the body is empty; send an Arrow IPC stream", "bad-stream")
    rows = batches = 0
    source = pa.BufferReader(buffer)
    try:
        for message in pa.ipc.MessageReader.open_stream(source):
            if message.type not in ("dictionary", "record batch"):
                continue
            length, compressed = _record_batch(message)
            if compressed:
                raise ProblemError(
                    422, "the stream is compressed; write it without compression", "bad-stream"
                )
            batches += 1
            rows += length if message.type == "record batch" else 0
    except (pa.ArrowException, OSError) as error:
        raise unreadable(error) from None
    except (struct.error, IndexError):
        raise unreadable(ValueError("a message contradicts itself")) from None
    if buffer.size < len(_END) or buffer[-len(_END) :].to_pybytes() != _END:
        raise ProblemError(
            422, "the stream was cut off: it has no end mark; close its writer", "bad-stream"
        )
    if batches > MOST_BATCHES:
        raise ProblemError(
            422,
            f"the stream has {batches:,} record batches, the limit is {MOST_BATCHES:,}; "
            "put more rows into each",
            "bad-stream",
        )
    if rows == 0:
        raise ProblemError(422, "the stream has no rows; send at least one", "empty-batch")
    return rows


def _record_batch(message: pa.ipc.Message) -> tuple[int, bool]:
    """Rows of a message and whether it is compressed, from its flatbuffer.

    Message.fbs of Arrow: a `RecordBatch` is `length, nodes, buffers, compression, ...`; a
    `DictionaryBatch` is `id, data: RecordBatch, ...`. pyarrow tells neither.
    """
    content = message.metadata.to_pybytes()

    def integer(kind: str, place: int) -> int:
        return int(struct.unpack_from(f"<{kind}", content, place)[0])

    def entry(table: int, number: int) -> int:
        """The place of a table's entry; 0 if it is not there."""
        fields = table - integer("i", table)
        place = 4 + 2 * number
        offset = integer("H", fields + place) if place < integer("H", fields) else 0
        return table + offset if offset else 0

    def follow(place: int) -> int:
        return place + integer("I", place)

    batch = follow(entry(follow(0), 2))
    if message.type == "dictionary":
        batch = follow(entry(batch, 1))
    length = entry(batch, 0)
    return integer("q", length) if length else 0, bool(entry(batch, 3))


def unreadable(error: Exception) -> ProblemError:
    """The problem of a stream that pyarrow cannot read."""
    lines = str(error).strip().splitlines()
    return ProblemError(
        422, f"the body is no Arrow IPC stream ({lines[0] if lines else 'broken'})", "bad-stream"
    )
