"""An Arrow IPC stream of rows, checked before it is believed, cut into blocks without a copy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.checkout.bundle import Model
from serve.edge.problems import ProblemError
from serve.forecasts.forecaster import LONGEST, NEGATIVE, OVERFLOW, nearest, negative
from serve.forecasts.survey import survey, unreadable
from stages.common.errors import few

MEDIA_TYPE = "application/vnd.apache.arrow.stream"

SCALE = "scale"
PASSED = ("key", "symbol", "as_of")
"""Columns that are passed back as they came."""

BLOCK = 4_096
"""Rows that a model is run on at a time: what it needs of them stays in the processor's cache.
A row's forecast does not depend on its block."""


@dataclass(frozen=True)
class Stream:
    """A stream that has the columns of a model.

    Attributes:
        schema: of the batches: passed columns, the features in the order of the card, the scale.
        passed: those of `PASSED` that it has.
        rows: how many.
        batches: in that schema, features and scale as float32. To be read once.
    """

    schema: pa.Schema
    passed: tuple[str, ...]
    rows: int
    batches: Iterator[pa.RecordBatch]


def read(body: bytes | bytearray, model: Model) -> Stream:
    """Open a stream.

    Raises:
        ProblemError: 422, it is none, was cut off, is compressed, or has other columns. Reading
            its batches raises it as well, also where a text is longer than `LONGEST`.
    """
    buffer = pa.py_buffer(body)
    rows = survey(buffer)
    try:
        reader = pa.ipc.open_stream(buffer)
        # Names need not be UTF-8 until somebody looks.
        _ = reader.schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(error) from None
    source, schema, passed = _columns(reader.schema, model)
    return Stream(schema, passed, rows, _batches(reader, source, schema, len(passed)))


def blocks(batches: Iterator[pa.RecordBatch], rows: int = BLOCK) -> Iterator[pa.RecordBatch]:
    """The same rows in blocks of one size, the last one smaller; copies only across batches."""
    parts: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, rows - count)
            parts.append(part)
            start += part.num_rows
            count += part.num_rows
            if count == rows:
                yield _joined(parts)
                parts, count = [], 0
    if parts:
        yield _joined(parts)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


@dataclass(frozen=True)
class Inputs:
    """A block as the model takes it: C-contiguous, float32 (rows, features) and (rows, 1)."""

    features: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    symbol: npt.NDArray[np.int64] | None


def inputs(block: pa.RecordBatch, model: Model, first: int) -> Inputs:
    """The arrays of a block.

    Args:
        block: of a `Stream`.
        model: that takes them.
        first: the place of its first row in the stream, for messages.

    Raises:
        ProblemError: 422, a value is not finite, a scale is negative, or a symbol has no model.
    """
    width = len(model.card.features)
    start = block.num_columns - width - 1
    features = np.empty((block.num_rows, width), np.float32)
    for place in range(width):
        features[:, place] = block.column(start + place).to_numpy()
    scale = block.column(block.num_columns - 1).to_numpy().reshape(-1, 1)
    if not (np.isfinite(features).all() and np.isfinite(scale).all()):
        raise _not_finite(np.hstack([features, scale]), [*model.card.features, SCALE], first)
    below = np.flatnonzero(scale < 0)
    if below.size:
        row = int(below[0])
        detail = f"row {first + row:,}: {negative(float(scale[row, 0]))}"
        raise ProblemError(422, detail, NEGATIVE)
    return Inputs(features, scale, _symbols(block, model, first) if model.per_symbol else None)


def _columns(given: pa.Schema, model: Model) -> tuple[list[int], pa.Schema, tuple[str, ...]]:
    """Where each wanted column is in the stream, and the schema of them together.

    Raises:
        ProblemError: 422, a column is missing, unknown, there twice or of another type.
    """
    names = given.names
    scale = SCALE if SCALE in names else model.card.scale
    wanted = [*model.card.features, scale]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ProblemError(422, f"columns: there twice: {few(twice)}", "bad-columns")
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
    if missing:
        raise ProblemError(
            422,
            f"columns: no {few(missing)}; the {model.name} model takes "
            f"{len(model.card.features)} features and {SCALE} (GET /model/info)",
            "bad-columns",
        )
    for name in names:
        if name not in wanted and name not in PASSED and name != model.card.scale:
            raise ProblemError(
                422,
                f"columns: unknown {name!r}{nearest(name, wanted)}; beside the features and "
                f"{SCALE} there may be {', '.join(PASSED)}",
                "bad-columns",
            )
    if model.per_symbol and "symbol" not in names:
        raise ProblemError(
            422,
            f"columns: no symbol; the {model.name} forecast has one model per symbol",
            "bad-columns",
        )
    passed = tuple(name for name in PASSED if name in names)
    fields = [pa.field(name, _passed_type(name, given.field(name).type)) for name in passed]
    for name in dict.fromkeys(wanted):
        kind = given.field(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise ProblemError(422, f"columns: {name} is {kind}, not float32", "bad-columns")
    fields += [pa.field(name, pa.float32()) for name in [*model.card.features, SCALE]]
    return [names.index(name) for name in [*passed, *wanted]], pa.schema(fields), passed


def _passed_type(name: str, kind: pa.DataType) -> pa.DataType:
    """The type in which a column is kept and passed back."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    match name:
        case "as_of" if pa.types.is_date32(kind):
            return kind
        case "key" if pa.types.is_integer(kind):
            return kind
        case "key" | "symbol" if _is_text(value):
            return pa.string()
    wanted = {"as_of": "date32", "key": "an integer or string", "symbol": "string"}[name]
    raise ProblemError(422, f"columns: {name} is {kind}, not {wanted}", "bad-columns")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _batches(
    reader: pa.RecordBatchReader, source: list[int], schema: pa.Schema, passed: int
) -> Iterator[pa.RecordBatch]:
    first = 0
    while True:
        try:
            batch = reader.read_next_batch()
            # Lengths and offsets are the sender's word until they are checked.
            batch.validate(full=True)
            columns = [
                _plain(batch.column(place), field.name)
                for place, field in zip(source, schema, strict=True)
            ]
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error) from None
        plain = pa.RecordBatch.from_arrays(columns, schema.names)
        other = [field for field in schema if plain.field(field.name).type != field.type]
        for field in list(schema)[passed:]:
            column = plain.column(field.name)
            if column.null_count:
                row = first + _first_null(column)
                raise ProblemError(422, f"row {row:,}: {field.name} is null", "bad-rows")
        start = 0
        while start < batch.num_rows:
            # A block at a time: of small types and repeated texts all rows together may be huge.
            # It ends where a block of the stream does, so that `blocks` has nothing to copy.
            block = plain.slice(start, BLOCK - first % BLOCK)
            for field in other:
                # A double beyond the range of a float becomes infinity, which `inputs` refuses.
                column = block.column(field.name).cast(field.type, safe=False)
                block = block.set_column(schema.get_field_index(field.name), field, column)
            yield block
            start += block.num_rows
            first += block.num_rows


def _first_null(column: pa.Array) -> int:
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def _plain(column: pa.Array, name: str) -> pa.Array:
    """A column that can be cast to what is wanted of it, without its becoming much larger.

    Raises:
        ProblemError: 422, a text is longer than `LONGEST`: rows need but name it to have a copy.
    """
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if _is_text(texts.type):
        longest = _longest(texts)
        if longest > LONGEST:
            raise ProblemError(
                422,
                f"columns: a text of {name} has {longest:,} bytes, the limit is {LONGEST}",
                "bad-columns",
            )
        if texts is not column:
            # Arrow takes no views of strings from a dictionary, which is how polars writes them.
            return pa.DictionaryArray.from_arrays(column.indices, texts.cast(pa.string()))
    return column


def _longest(texts: pa.Array) -> int:
    """Bytes of the longest text, 0 if there is none."""
    import pyarrow.compute as pc

    if pa.types.is_string_view(texts.type):
        # Arrow has no function for these; a view has 16 bytes, the first 4 of them its length.
        views = np.frombuffer(texts.buffers()[1], np.int32)[::4]
        found = views[texts.offset : texts.offset + len(texts)]
        return int(found.max(where=texts.is_valid().to_numpy(zero_copy_only=False), initial=0))
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _not_finite(values: npt.NDArray[np.float32], names: list[str], first: int) -> ProblemError:
    wrong = ~np.isfinite(values)
    row, column = np.argwhere(wrong)[0]
    rest = int(wrong.any(axis=1).sum()) - 1
    more = f", and {rest:,} rows after it have such values" if rest else ""
    return ProblemError(
        422,
        f"row {first + int(row):,}: {names[column]} is {values[row, column]}{more}; "
        "leave such rows out",
        "bad-rows",
    )


def overflow(found: Mapping[str, npt.NDArray[np.float32]], first: int) -> ProblemError:
    """The problem of a block whose forecasts are not all finite."""
    wrong = ~np.isfinite(np.vstack(list(found.values()))).all(axis=0)
    row = first + int(np.flatnonzero(wrong)[0])
    return ProblemError(
        422,
        f"row {row:,}: the forecast is beyond what a float32 holds; "
        "see whether features and scale have the unit of training",
        OVERFLOW,
    )


def _symbols(block: pa.RecordBatch, model: Model, first: int) -> npt.NDArray[np.int64]:
    """The place of each row's symbol in a graph with one model per symbol, (rows, 1)."""
    import pyarrow.compute as pc

    symbols = block.column("symbol")
    found = pc.index_in(symbols, value_set=pa.array(model.card.symbols, pa.string()))
    if found.null_count:
        row = _first_null(found)
        raise ProblemError(
            422,
            f"row {first + row:,}: the {model.name} forecast has no model for "
            f"{symbols[row].as_py()!r}; it has {few(model.card.symbols)}",
            "bad-rows",
        )
    places: npt.NDArray[np.int64] = found.to_numpy().astype(np.int64).reshape(-1, 1)
    return places
