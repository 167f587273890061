"""Reading Arrow streams that clients may send, whole and broken."""

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from serve.checkout.bundle import Bundle, Model
from serve.forecasts import stream
from serve.forecasts.forecast_errors import InvalidInputError
from serve.forecasts.messages import MOST_BATCHES
from stages.forecast.training.graphs import by_symbol, linear
from tests.serve.forecasts.handmade import CONSTANT_SCALE, forecasting
from tests.serve.forecasts.streams import features, table, written


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> Model:
    return bundle.models["short"]


def inputs(body: bytes, model: Model, block: int = stream.BLOCK) -> list[stream.Inputs]:
    first, parts = 0, []
    for part in stream.read(body, model).blocks(block):
        parts.append(stream.inputs(part, model, first))
        first += part.num_rows
    return parts


def refusal(body: bytes, model: Model) -> str:
    with pytest.raises(InvalidInputError) as caught:
        inputs(body, model)
    return str(caught.value)


def test_the_matrix_is_that_of_the_columns_in_the_order_of_the_card(model: Model) -> None:
    values = features(model, 1000)
    shuffled = table(model, 1000)
    shuffled = shuffled.select(sorted(shuffled.column_names, reverse=True))
    (block,) = inputs(written(shuffled), model)
    assert block.features.flags.c_contiguous
    assert block.features.tobytes() == values.tobytes()


@pytest.mark.parametrize("rows", [1, 7, 100, 999, 1000, 4096])
def test_how_rows_are_cut_into_batches_does_not_matter(model: Model, rows: int) -> None:
    values = features(model, 4500)
    keyed = table(model, 4500, {"key": np.arange(4500)})
    body = written(keyed, rows)
    source = stream.read(body, model)
    assert source.table.num_rows == 4500
    blocks = list(source.blocks())
    assert [block.num_rows for block in blocks] == [4096, 404]
    assert np.concatenate([block["key"] for block in blocks]).tolist() == list(range(4500))
    parts = inputs(body, model, 4096)
    assert np.vstack([part.features for part in parts]).tobytes() == values.tobytes()


def test_a_stream_of_polars_is_read_with_its_newest_types(model: Model) -> None:
    text = pl.Series(["a", "b"] * 50)
    frame = pl.from_arrow(table(model, 100))
    assert isinstance(frame, pl.DataFrame)
    frame = frame.with_columns(symbol=text.cast(pl.Categorical), key=text).cast(
        dict.fromkeys(model.card.features[:2], pl.Float64)
    )
    sink = io.BytesIO()
    frame.write_ipc_stream(sink)
    rows = stream.read(sink.getvalue(), model)
    (block,) = rows.blocks()
    assert rows.passed == ("key", "symbol")
    assert block["symbol"].to_pylist() == text.to_list() == block["key"].to_pylist()
    assert stream.inputs(block, model, 0).features.tobytes() == features(model, 100).tobytes()


def test_integers_are_numbers(model: Model) -> None:
    name = model.card.features[3]
    content = table(model, 10)
    content = content.set_column(content.column_names.index(name), name, pa.array([3] * 10))
    (block,) = inputs(written(content), model)
    assert set(block.features[:, 3]) == {3.0}


def changed(model: Model, change: Callable[[pa.Table, str], pa.Table]) -> bytes:
    return written(change(table(model, 50), model.card.features[2]))


def with_value(content: pa.Table, name: str, row: int, value: float | None) -> pa.Table:
    values = content[name].to_pylist()
    values[row] = value
    return content.set_column(
        content.column_names.index(name), name, pa.array(values, content[name].type)
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, n: t.drop_columns([n]), "columns: no return_lag3; the short model takes"),
        (lambda t, n: t.append_column("return_lag9", t[n]), "unknown 'return_lag9' (did you mean "),
        (lambda t, n: t.append_column(n, t[n]), "columns: there twice: return_lag3"),
        (
            lambda t, n: t.set_column(2, n, t[n].cast(pa.string())),
            "columns: return_lag3 is string, not float32",
        ),
        (
            lambda t, n: t.append_column("symbol", t[n]),
            "columns: symbol is float, not string",
        ),
        (
            lambda t, _: t.append_column("as_of", pa.array(["2020-01-01"] * 50)),
            "columns: as_of is string, not date32",
        ),
        (lambda t, n: with_value(t, n, 17, None), "row 17: return_lag3 is null"),
        (lambda t, n: with_value(t, n, 18, float("nan")), "row 18: return_lag3 is nan"),
        (lambda t, n: with_value(t, n, 49, float("inf")), "row 49: return_lag3 is inf"),
        (
            lambda t, n: t.append_column("scale", t[n]),
            "columns: leave scale out; the model computes it from the features",
        ),
        (lambda t, _: t.slice(0, 0), "the stream has no rows"),
    ],
)
def test_each_mistake_is_named(
    model: Model, change: Callable[[pa.Table, str], pa.Table], says: str
) -> None:
    assert says in refusal(changed(model, change), model)


def test_a_row_is_counted_from_the_start_of_the_stream(model: Model) -> None:
    content = with_value(table(model, 9000), model.card.features[0], 8765, float("nan"))
    assert "row 8,765: return_lag1 is nan" in refusal(written(content, 100), model)


def test_a_double_beyond_a_float_is_refused(model: Model) -> None:
    content = table(model, 3)
    content = content.set_column(0, "return_lag1", pa.array([0.0, 1e300, 0.0]))
    assert "row 1: return_lag1 is inf" in refusal(written(content), model)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compression_is_refused_before_anything_is_decompressed(model: Model, codec: str) -> None:
    body = written(table(model, 50), options=pa.ipc.IpcWriteOptions(compression=codec))
    assert "the stream is compressed; write it without compression" in refusal(body, model)
    # Zeros: a bomb of 4 GB would be 130 kB.
    coded = table(model, 50).append_column("key", pa.array(["a"] * 50).dictionary_encode())
    body = written(coded, options=pa.ipc.IpcWriteOptions(compression=codec))
    assert "is compressed" in refusal(body, model)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
@pytest.mark.parametrize("name", ["key", "symbol"])
def test_a_text_that_rows_repeat_may_not_be_long(
    model: Model, name: str, kind: pa.DataType
) -> None:
    """4,096 rows of one byte each would be 800 MB of text."""
    long, short = ("x" * 200_000, "x" * 64)
    rows = pa.array(np.arange(4096) % 2, pa.int8())
    for texts, refused in (([long, short], True), ([short, None], False)):
        dictionary = pa.array(texts, pa.string()).cast(kind)
        coded = table(model, 4096).append_column(
            name, pa.DictionaryArray.from_arrays(rows, dictionary)
        )
        plain = table(model, 3).append_column(name, pa.array(["", *texts], pa.string()).cast(kind))
        for body in (written(coded), written(plain), written(plain.slice(1))):
            if refused:
                assert refusal(body, model) == (
                    f"columns: a text of {name} has 200,000 bytes, the limit is 64"
                )
            else:
                assert inputs(body, model)


def test_no_more_than_a_block_is_cast_at_a_time(model: Model) -> None:
    """Integers of a byte become floats of four."""
    rows = 100_000
    content = pa.table({name: pa.array(np.ones(rows, np.int8)) for name in model.card.features})
    body = written(content)
    before = highest = pa.total_allocated_bytes()
    for block in stream.read(body, model).blocks():
        assert block.num_rows <= stream.BLOCK
        highest = max(highest, pa.total_allocated_bytes())
    assert highest - before < 3 * stream.BLOCK * 4 * content.num_columns


def test_columns_without_number_are_refused_at_once(model: Model) -> None:
    many = {f"column {place}": np.zeros(1, np.int8) for place in range(30_000)}
    body = written(table(model, 1, many))
    started = time.process_time()
    assert "columns: unknown 'column 0'" in refusal(body, model)
    assert time.process_time() - started < 5


def test_a_name_of_a_million_letters_is_not_compared_with_others(model: Model) -> None:
    body = written(table(model, 1, {"return_lag" * 100_000: [1.0]}))
    started = time.process_time()
    assert "columns: unknown 'return_lag" in refusal(body, model)
    assert time.process_time() - started < 1


def test_crumbs_are_refused(model: Model) -> None:
    body = written(table(model, MOST_BATCHES + 1), 1)
    assert "10,001 record batches, the limit is 10,000" in refusal(body, model)


def test_a_large_dictionary_is_not_checked_with_thousands_of_batches(model: Model) -> None:
    texts = pa.array([str(place) for place in range(100_000)])
    keys = pa.DictionaryArray.from_arrays(pa.array(range(2_000), pa.int32()), texts)
    content = table(model, 2_000, {"key": keys})
    assert inputs(written(content), model)
    started = time.process_time()
    says = refusal(written(content, 1), model)
    assert re.search(r"[\d,]+ bytes of dictionaries for 2,001 record batches", says)
    assert time.process_time() - started < 5


def test_a_stream_that_was_cut_off_anywhere_is_refused(model: Model) -> None:
    body = written(table(model, 64), 16)
    for end in [*range(0, len(body), 97), *range(len(body) - 24, len(body))]:
        says = refusal(body[:end], model)
        assert "cut off" in says or "not an Arrow IPC stream" in says or "empty" in says, end


def test_nothing_may_follow_the_end_of_a_stream(model: Model) -> None:
    """pyarrow reads the first stream, and leaves the rest unread."""
    one = written(table(model, 3))
    empty_schema = written(pa.table({}))
    for rest in (one, one * 3, b"junk", b"\0", one[-8:], one[:-8], empty_schema, b"\0" * 8):
        with pytest.raises(InvalidInputError, match="after the end of its stream") as raised:
            stream.read(one + rest, model)
        assert f"{len(rest):,} bytes" in str(raised.value)
        assert raised.value.kind == "bad-stream"


def test_no_broken_stream_does_more_than_be_refused(model: Model) -> None:
    coded = table(model, 40).append_column("symbol", pa.array(["a", "b"] * 20).dictionary_encode())
    body = written(coded, 16)
    random = np.random.default_rng(1)
    for _ in range(3000):
        broken = bytearray(body)
        for place in random.integers(0, len(body), random.integers(1, 4)):
            broken[place] = random.integers(0, 256)
        try:
            parts = inputs(bytes(broken), model)
        except InvalidInputError:
            continue
        else:
            # A broken stream that can still be read may have other numbers.
            assert all(np.isfinite(part.features).all() for part in parts)


@pytest.fixture(scope="module")
def per_symbol(model: Model) -> Model:
    """A forecast with one model per symbol."""
    slope = np.zeros(len(model.card.features))
    forecaster = forecasting(model, by_symbol([linear(slope, 0.01), linear(slope, 0.02)]))
    assert forecaster.per_symbol
    return replace(forecaster, card=model.card.model_copy(update={"symbols": ["AAPL", "IBM"]}))


def test_each_row_is_computed_by_the_model_of_its_symbol(per_symbol: Model) -> None:
    symbols = ["IBM", "AAPL", "IBM"]
    (block,) = inputs(written(table(per_symbol, 3, {"symbol": symbols})), per_symbol)
    assert block.symbol is not None
    outputs = per_symbol.session(block.features, block.symbol)
    assert outputs["return"].tolist() == pytest.approx([0.02, 0.01, 0.02])
    assert outputs["scale"].tolist() == pytest.approx([CONSTANT_SCALE] * 3)


def test_a_model_per_symbol_needs_symbols_that_it_knows(per_symbol: Model) -> None:
    assert "columns: no symbol" in refusal(written(table(per_symbol, 3)), per_symbol)
    for wrong in ("MSFT", None):
        body = written(table(per_symbol, 3, {"symbol": ["IBM", "AAPL", wrong]}))
        assert f"row 2: the short forecast has no model for {wrong!r}; it has AAPL, IBM" in refusal(
            body, per_symbol
        )
