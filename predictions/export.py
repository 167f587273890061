"""The prediction log as one Parquet file: one row per prediction, inputs decoded, labels joined."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, Engine, Row, func, select

from predictions.engine import LogError
from predictions.queries import Selection
from predictions.schema import prediction_logs
from stages.common import tables
from stages.common.running import progress

GROUP = 10_000
"""Rows of a row group, and of a trip to the database."""

_MOMENT = pa.timestamp("us", "UTC")
_TYPES = {
    **{str(column.name): pa.string() for column in prediction_logs.columns},
    **dict.fromkeys(
        ("last_close", "predicted_return", "lower", "upper", "level", "probability", "scale"),
        pa.float64(),
    ),
    **dict.fromkeys(("as_of", "target_date"), pa.date32()),
    "created_at": _MOMENT,
    "sessions": pa.int32(),
    "symbol_index": pa.int64(),
}
_LABELS = {
    "actual_return": ("label_actual_return", pa.float64()),
    "actual_close": ("label_actual_close", pa.float64()),
    "observed_at": ("label_observed_at", _MOMENT),
    "labelled_at": ("label_created_at", _MOMENT),
    "labelled_by": ("label_client", pa.string()),
}
"""Columns of a label: those of the query, and their types; null where there is no label."""


def schema(features: Sequence[str]) -> pa.Schema:
    """The columns of an export.

    Args:
        features: of all its predictions, each a field of `inputs`, null where a model does not
            take it. Parquet has no structure without fields: without features `inputs` is null.
    """
    inputs = pa.struct([(name, pa.float32()) for name in features]) if features else pa.null()
    labels = {name: kind for name, (_, kind) in _LABELS.items()}
    return pa.schema({**_TYPES, "inputs": inputs, **labels})


def write(engine: Engine, path: Path, since: datetime | None, until: datetime | None) -> int:
    """Write predictions of a span of time, oldest first; returns how many.

    The same rows give the same bytes. An interrupted export leaves `path` as it was.

    Args:
        engine: that reads only; others may write meanwhile.
        path: of the file; an older one is replaced.
        since, until: when they were made; `until` itself is left out.
    """
    selection = Selection(since=since, until=until)
    rows = 0
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # All rows are of one moment; SQLite ensures that by itself.
            connection.execution_options(isolation_level="REPEATABLE READ")
        columns = schema(_features(connection, selection))
        with (
            tables.replacing(path) as partial,
            pq.ParquetWriter(partial, columns, compression=tables.COMPRESSION) as writer,
        ):
            for group in progress(_groups(connection, selection, columns), "export"):
                writer.write_batch(group)
                rows += group.num_rows
    return rows


def _features(connection: Connection, selection: Selection) -> list[str]:
    """The names of all features, in the order in which the log first has them."""
    table = prediction_logs.c
    made_by = (table.model_md5, table.revision)
    first = selection.select(func.min(table.id)).group_by(*made_by)
    query = select(table.inputs).where(table.id.in_(first.scalar_subquery())).order_by(table.id)
    texts = connection.scalars(query)
    return list(dict.fromkeys(name for text in texts for name in orjson.loads(text)))


def _groups(
    connection: Connection, selection: Selection, columns: pa.Schema
) -> Iterator[pa.RecordBatch]:
    query = selection.select().order_by(selection.id)
    with connection.execution_options(yield_per=GROUP).execute(query) as result:
        for rows in result.partitions():
            yield _group(rows, list(result.keys()), columns)


def _group(rows: Sequence[Row[Any]], keys: list[str], columns: pa.Schema) -> pa.RecordBatch:
    values_of = dict(zip(keys, zip(*rows, strict=True), strict=True))
    inputs = [orjson.loads(text) for text in values_of["inputs"]]
    kind = columns.field("inputs").type
    names = [kind.field(number).name for number in range(kind.num_fields)]
    for identifier, values in zip(values_of["id"], inputs, strict=True):
        if values.keys() - names:
            raise LogError(f"prediction {identifier} has other inputs than its model: {values}")
    arrays = {
        field.name: pa.array(values_of[_LABELS.get(field.name, (field.name,))[0]], field.type)
        for field in columns
        if field.name != "inputs"
    }
    arrays["inputs"] = pa.StructArray.from_arrays(
        [pa.array([values.get(name) for values in inputs], pa.float32()) for name in names], names
    )
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns.names], schema=columns)
