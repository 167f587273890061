"""Check the messages of an Arrow IPC stream before pyarrow reads their content."""

import struct

import pyarrow as pa
from flatbuffers.table import Table  # type: ignore[import-untyped]  # ships no types

from serve.forecasts.forecast_errors import InvalidInputError
from stages.common.text import first_line

MOST_BATCHES = 10_000
"""Record batches of a stream; each takes some microseconds, whatever its rows."""

MOST_REPEATED = 10**9
"""Bytes of dictionaries, times record batches: pyarrow checks all dictionaries with each batch."""

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def check(buffer: pa.Buffer) -> None:
    """Refuse a stream that was cut off, or that could take far more memory or time than its size.

    Raises:
        InvalidInputError: it is not one whole stream and nothing else, has too many batches, or is
            compressed: a few bytes could then expand to any amount of memory.
    """
    if not buffer.size:
        raise bad_stream("the body is empty; send an Arrow IPC stream")
    batches = dictionaries = 0
    source = pa.BufferReader(buffer)
    try:
        for message in pa.ipc.MessageReader.open_stream(source):
            if message.type in ("dictionary", "record batch"):
                batches += 1
                dictionaries += message.body.size if message.type == "dictionary" else 0
                if _is_compressed(message):
                    raise bad_stream("the stream is compressed; write it without compression")
    except (pa.ArrowException, OSError) as error:
        raise unreadable(error) from None
    except (struct.error, TypeError):
        raise unreadable(ValueError("a message contradicts itself")) from None
    _check_end(buffer, source.tell())
    if batches > MOST_BATCHES:
        raise bad_stream(
            f"the stream has {batches:,} record batches, the limit is {MOST_BATCHES:,}; "
            "put more rows into each"
        )
    if batches * dictionaries > MOST_REPEATED:
        raise bad_stream(
            f"the stream has {dictionaries:,} bytes of dictionaries for {batches:,} record "
            "batches; put more rows into each, or send plain texts"
        )


def _check_end(buffer: pa.Buffer, end: int) -> None:
    """Check that a stream has its end mark and that nothing follows, which pyarrow would ignore."""
    if buffer[max(0, end - len(_END)) : end].to_pybytes() != _END:
        raise bad_stream("the stream was cut off: it has no end mark; close its writer")
    if end < buffer.size:
        raise bad_stream(
            f"the body goes on for {buffer.size - end:,} bytes after the end of its stream; send "
            "one stream in a request"
        )


def _is_compressed(message: pa.ipc.Message) -> bool:
    """Whether the buffers of a batch are compressed, which pyarrow does not say.

    Message.fbs of Arrow: `Message` is `version, header, ...`, where a union takes two places;
    `DictionaryBatch` is `id, data: RecordBatch, ...`; `RecordBatch` is `length, nodes, buffers,
    compression, ...`.
    """
    content = message.metadata.to_pybytes()
    table = Table(content, int.from_bytes(content[:4], "little"))
    for field in (2,) if message.type == "record batch" else (2, 1):
        table.Union(table, table.Offset(4 + 2 * field))
    return bool(table.Offset(4 + 2 * 3))


def bad_stream(detail: str) -> InvalidInputError:
    """The error of a stream that cannot be read."""
    return InvalidInputError(detail, "bad-stream")


def unreadable(error: Exception) -> InvalidInputError:
    """The error of a stream at which pyarrow gave up."""
    return bad_stream(f"the body is not an Arrow IPC stream ({first_line(error)})")
