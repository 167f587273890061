"""An Arrow IPC stream of rows: checked before it is trusted, cut into blocks with few copies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.checkout.bundle import Model
from serve.forecasts import messages
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.forecaster import LONGEST, overflow
from stages.common.errors import few
from stages.common.text import nearest
from stages.forecast.contract import SCALE

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

PASSED = ("key", "symbol", "as_of")
"""Columns that are passed back as they came."""

BLOCK = 4_096
"""Rows that a model is run on at a time: what it needs of them stays in the processor's cache.
A row's forecast does not depend on its block."""


@dataclass(frozen=True)
class Stream:
    """A stream that has the columns of a model.

    Attributes:
        table: passed columns, then the features in the order of the card; as they were sent.
        schema: the same columns in the types of `blocks`, features as float32.
        passed: those of `PASSED` that it has.
    """

    table: pa.Table
    schema: pa.Schema
    passed: tuple[str, ...]

    def blocks(self, rows: int = BLOCK) -> Iterator[pa.RecordBatch]:
        """All rows in blocks of one size, the last one smaller; copies only where it must."""
        for first in range(0, self.table.num_rows, rows):
            block = self.table.slice(first, rows)
            if block.schema.types != self.schema.types:
                # Small types and repeated texts grow: all rows at once could take any memory. A
                # double beyond the range of a float becomes infinity, which `inputs` refuses.
                block = block.cast(self.schema, safe=False)
            yield from block.combine_chunks().to_batches()


def read(body: bytes | bytearray, model: Model) -> Stream:
    """Open a stream. Its table refers to the bytes of the body.

    Raises:
        InvalidInputError: it is not a whole, uncompressed stream, has no rows or other columns,
            a number is null, or a text is longer than `LONGEST`.
    """
    buffer = pa.py_buffer(body)
    messages.check(buffer)
    try:
        with pa.ipc.open_stream(buffer) as reader:
            sources, schema, passed = _columns(reader.schema, model)
            table = reader.read_all()
            # Lengths and offsets are claims of the sender until they are checked.
            table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # Nobody has checked before that names are UTF-8.
        raise messages.unreadable(error) from None
    if not table.num_rows:
        raise InvalidInputError("the stream has no rows; send at least one", "empty-batch")
    columns = [table.column(place) for place in sources]
    for place, name in enumerate(schema.names):
        if schema.field(name).type == pa.string():
            columns[place] = _short_texts(columns[place], name)
        elif name not in passed and columns[place].null_count:
            row = columns[place].is_null().index(True).as_py()
            raise bad_row(row, f"{name} is null")
    return Stream(pa.table(columns, schema.names), schema, passed)


def _columns(schema: pa.Schema, model: Model) -> tuple[list[int], pa.Schema, tuple[str, ...]]:
    """The place of each wanted column in the stream, their schema, and which are passed back.

    Raises:
        InvalidInputError: a column is missing, unknown, repeated or of another type.
    """
    names = schema.names
    wanted = model.card.features
    passed = tuple(name for name in PASSED if name in names)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise bad_columns(f"there twice: {few(repeated)}")
    missing = [name for name in wanted if name not in names]
    if missing:
        raise bad_columns(
            f"no {few(missing)}; the {model.name} model takes {len(wanted)} features "
            "(GET /model/info)"
        )
    if SCALE in names:
        raise bad_columns(f"leave {SCALE} out; the model computes it from the features")
    for name in names:
        if name not in {*wanted, *PASSED}:
            raise bad_columns(
                f"unknown {name!r}{nearest(name[:LONGEST], wanted)}; beside the features there "
                f"may be {', '.join(PASSED)}"
            )
    if model.per_symbol and "symbol" not in names:
        raise bad_columns(f"no symbol; the {model.name} forecast has one model per symbol")
    fields = [pa.field(name, _passed_type(name, schema.field(name).type)) for name in passed]
    for name in wanted:
        kind = schema.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise bad_columns(f"{name} is {kind}, not float32")
    fields += [pa.field(name, pa.float32()) for name in wanted]
    return [names.index(name) for name in [*passed, *wanted]], pa.schema(fields), passed


def _passed_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The type in which a column is kept and passed back."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    match name:
        case "as_of" if pa.types.is_date32(kind):
            return kind
        case "key" if pa.types.is_integer(kind):
            return kind
        case "key" | "symbol" if value in {pa.string(), pa.large_string(), pa.string_view()}:
            return pa.string()
    wanted = {"as_of": "date32", "key": "an integer or string", "symbol": "string"}[name]
    raise bad_columns(f"{name} is {kind}, not {wanted}")


def _short_texts(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column of texts that can be cast to strings, a block at a time, without growing much.

    Raises:
        InvalidInputError: a text is longer than `LONGEST`: rows that only refer to it would each
            get a copy.
    """
    chunks = []
    for chunk in column.chunks:
        coded = pa.types.is_dictionary(chunk.type)
        texts = chunk.dictionary if coded else chunk
        if (longest := _longest(texts)) > LONGEST:
            raise bad_columns(f"a text of {name} has {longest:,} bytes, the limit is {LONGEST}")
        # pyarrow casts no dictionary of string views, which is how polars writes categories.
        chunks.append(
            pa.DictionaryArray.from_arrays(chunk.indices, texts.cast(pa.string()))
            if coded
            else chunk
        )
    return pa.chunked_array(chunks)


def _longest(texts: pa.Array) -> int:
    """Bytes of the longest text, 0 if there is none."""
    import pyarrow.compute as pc

    if pa.types.is_string_view(texts.type):
        # pyarrow cannot measure these. A view has 16 bytes, of which the first 4 are its length.
        lengths = np.frombuffer(texts.buffers()[1], np.int32)[::4]
        lengths = lengths[texts.offset : texts.offset + len(texts)]
        return int(lengths.max(where=texts.is_valid().to_numpy(zero_copy_only=False), initial=0))
    return pc.max(pc.binary_length(texts)).as_py() or 0


@dataclass(frozen=True)
class Inputs:
    """A block as the model takes it: C-contiguous, float32 (rows, features), int64 (rows, 1)."""

    features: npt.NDArray[np.float32]
    symbol: npt.NDArray[np.int64] | None


def inputs(block: pa.RecordBatch, model: Model, first: int) -> Inputs:
    """The arrays of a block of a `Stream`.

    Args:
        first: the place of its first row in the stream, for messages.

    Raises:
        InvalidInputError: a value is not finite, or a symbol has no model.
    """
    width = len(model.card.features)
    start = block.num_columns - width
    features = np.empty((block.num_rows, width), np.float32)
    for place in range(width):
        features[:, place] = block.column(start + place).to_numpy()
    if not np.isfinite(features).all():
        raise _not_finite(features, model.card.features, first)
    return Inputs(features, _symbols(block, model, first) if model.per_symbol else None)


def _symbols(block: pa.RecordBatch, model: Model, first: int) -> npt.NDArray[np.int64]:
    """The place of each row's symbol in a graph with one model per symbol, (rows, 1)."""
    import pyarrow.compute as pc

    symbols = block.column("symbol")
    places = pc.index_in(symbols, value_set=pa.array(model.card.symbols, pa.string()))
    if places.null_count:
        row = places.is_null().index(True).as_py()
        raise bad_row(
            first + row,
            f"the {model.name} forecast has no model for {symbols[row].as_py()!r}; "
            f"it has {few(model.card.symbols)}",
        )
    indices: npt.NDArray[np.int64] = places.to_numpy().astype(np.int64).reshape(-1, 1)
    return indices


def _not_finite(values: npt.NDArray[np.float32], names: list[str], first: int) -> InvalidInputError:
    wrong = ~np.isfinite(values)
    row, column = np.argwhere(wrong)[0]
    rest = int(wrong.any(axis=1).sum()) - 1
    more = f", and {rest:,} rows after it have such values" if rest else ""
    return bad_row(
        first + int(row), f"{names[column]} is {values[row, column]}{more}; leave such rows out"
    )


def check_finite(outputs: Mapping[str, npt.NDArray[np.float32]], first: int) -> None:
    """Check that all forecasts of a block are finite.

    Raises:
        InvalidInputError: one is not.
    """
    finite = np.isfinite(list(outputs.values())).all(axis=0)
    if not finite.all():
        raise overflow(f"row {first + int(np.argmin(finite)):,}")


def bad_columns(detail: str) -> InvalidInputError:
    """The error of a stream whose columns a model does not take."""
    return InvalidInputError(f"columns: {detail}", "bad-columns")


def bad_row(row: int, detail: str) -> InvalidInputError:
    """The error of a row, counted from 0 at the start of the stream."""
    return InvalidInputError(f"row {row:,}: {detail}", "bad-rows")
