"""Arrow streams that tests send."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from serve.checkout.bundle import Model

HEADERS = {"Content-Type": "application/vnd.apache.arrow.stream"}


def features(model: Model, rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Random features, (rows, features)."""
    random = np.random.default_rng(seed)
    return random.normal(0, 0.1, (rows, len(model.card.features))).astype(np.float32)


def table(model: Model, rows: int, extra: Mapping[str, Any] | None = None) -> pa.Table:
    """Such features as columns, after other columns."""
    values = features(model, rows)
    names = model.card.features
    columns = {name: np.ascontiguousarray(values[:, place]) for place, name in enumerate(names)}
    return pa.table({**(extra or {}), **columns})


def written(content: pa.Table, rows: int | None = None, **options: Any) -> bytes:
    """A table as a stream, in record batches of so many rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, content.schema, **options) as writer:
        writer.write_table(content, rows)
    body: bytes = sink.getvalue().to_pybytes()
    return body
