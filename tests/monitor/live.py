"""Live forecasts for tests: random bars, forecasts from them as a server logs them, and labels."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import sqlalchemy as sa
from scipy.special import ndtr

from monitor.settings import Settings
from predictions import engine as engines
from predictions import migrate
from predictions.schema import label_store, prediction_logs
from stages.common import tables

START = date(2020, 1, 1)
SYMBOLS = ("AAA", "BBB", "CCC")
LEVEL = 0.9
CHAMPION_MD5 = "c" * 32
CHALLENGER_MD5 = "d" * 32

_numbers = count()


def settings(folder: Path, now: datetime | None = None, **values: Any) -> Settings:
    """The settings of a monitor whose log is `folder/var/predictions.db`."""
    return Settings(var=folder / "var", now=now, **values)


def log(monitor_settings: Settings) -> sa.Engine:
    """An engine for the log of these settings, with its tables."""
    engine = engines.connect(monitor_settings.log_url, bounded=False)
    migrate.upgrade(engine)
    return engine


def weekdays(sessions: int, start: date = START) -> list[date]:
    """So many days from Monday to Friday."""
    days = (start + timedelta(days=number) for number in count())
    return [
        day for day, _ in zip((d for d in days if d.weekday() < 5), range(sessions), strict=False)
    ]


def bars(
    symbols: Sequence[str] = SYMBOLS,
    sessions: int = 60,
    start: date = START,
    spread: float = 0.02,
    seed: int = 0,
) -> pl.DataFrame:
    """Bars of random walks whose daily returns have a standard deviation of `spread`.

    Returns:
        The columns of `tables.CLEAN_DAILY`, on every weekday.
    """
    generator = np.random.default_rng(seed)
    days = weekdays(sessions, start)
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(generator.normal(0, spread, sessions)))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * sessions,
                    "date": days,
                    **dict.fromkeys((*tables.PRICES, "adj_close"), close),
                    "volume": np.full(sessions, 1000.0),
                    "filled": [False] * sessions,
                }
            )
        )
    return pl.concat(frames).select(list(tables.CLEAN_DAILY))


def write_bars(folder: Path, frame: pl.DataFrame) -> None:
    """Put bars where the pipeline would: `folder/data/clean/daily.parquet`."""
    tables.write(frame, folder / "data" / "clean" / "daily.parquet")


def forecasts(
    of: pl.DataFrame,
    sessions: int = 1,
    horizon: str = "short",
    *,
    predicted: Any = 0.0,
    scale: Any = 0.02,
    inputs: pl.DataFrame | None = None,
    **values: Any,
) -> pl.DataFrame:
    """A forecast of each bar, as a server would log it on the evening of its session.

    Args:
        of: bars, sorted by symbol and date; the newest of a symbol have a `target_date` too, the
            weekday so many sessions later.
        sessions: of the horizon.
        horizon: its name.
        predicted, scale: of the return, as fractions: a number, or one for each bar.
        inputs: the features, row by row; None for none.
        values: other columns of `prediction_logs`, such as `role` or `model_md5`.

    Returns:
        The columns of `prediction_logs`, and `target`, which is what came of it; null where that is
        not known yet. The normal distribution of `predicted` and `scale` gives the interval and the
        probability.
    """
    rows = of.with_columns(
        target=(pl.col("adj_close").shift(-sessions) / pl.col("adj_close") - 1).over("symbol"),
        target_date=pl.col("date").shift(-sessions).over("symbol"),
    )
    mean = np.broadcast_to(np.asarray(predicted, float), (rows.height,))
    width = np.broadcast_to(np.asarray(scale, float), (rows.height,))
    features = [{}] * rows.height if inputs is None else inputs.to_dicts()
    moments = [_moment(day) for day in rows["date"]]
    return rows.select(
        id=pl.Series([_id(at) for at in moments]),
        created_at=pl.Series(moments, dtype=tables.UTC),
        request_id=pl.lit("r"),
        client=pl.lit(None, pl.String),
        source=pl.lit("latest"),
        symbol=pl.col("symbol"),
        horizon=pl.lit(horizon),
        sessions=pl.lit(sessions),
        as_of=pl.col("date"),
        target_date=pl.col("target_date").fill_null(
            pl.col("date").dt.add_business_days(sessions, roll="forward")
        ),
        last_close=pl.col("close"),
        predicted_return=mean,
        lower=mean - 1.645 * width,
        upper=mean + 1.645 * width,
        level=pl.lit(LEVEL),
        probability=ndtr(mean / width),
        revision=pl.lit("a" * 40),
        model_md5=pl.lit(CHAMPION_MD5),
        model_version=pl.lit(None, pl.String),
        inputs=pl.Series([orjson.dumps(row).decode() for row in features]),
        scale=width,
        symbol_index=pl.lit(None, pl.Int64),
        role=pl.lit(None, pl.String),
        target=pl.col("target"),
    ).with_columns(**{name: pl.lit(value) for name, value in values.items()})


def add(engine: sa.Engine, frame: pl.DataFrame, *, labelled: float = 0.0, seed: int = 0) -> None:
    """Put forecasts into the log, and labels for a share of those whose outcome is known.

    Args:
        engine: of the log.
        frame: as `forecasts` gives it.
        labelled: the share; a label arrives on the evening of its target session.
        seed: which of them.
    """
    with engine.begin() as connection:
        connection.execute(sa.insert(prediction_logs), frame.drop("target").to_dicts())
    known = frame.drop_nulls("target").sample(fraction=labelled, seed=seed)
    if known.height:
        label(engine, dict(zip(known["id"], known["target"], strict=True)))


def label(
    engine: sa.Engine,
    returns: Mapping[str, float],
    at: datetime | None = None,
    client: str | None = None,
) -> None:
    """Keep returns as labels of predictions, by id.

    Args:
        engine: of the log.
        returns: by id of the prediction.
        at: when they arrived; by default on the evening of the target session.
        client: who sent them.
    """
    with engine.begin() as connection:
        query = sa.select(prediction_logs.c.id, prediction_logs.c.target_date)
        due = dict(connection.execute(query).all())
        connection.execute(
            sa.insert(label_store),
            [
                {
                    "prediction_id": identifier,
                    "actual_return": value,
                    "actual_close": None,
                    "observed_at": None,
                    "created_at": at or _moment(due[identifier]),
                    "client": client,
                }
                for identifier, value in returns.items()
            ],
        )


def count_of(engine: sa.Engine, table: sa.Table) -> int:
    """Rows of a table."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _moment(day: date) -> datetime:
    return datetime.combine(day, time(22), UTC)


def _id(at: datetime) -> str:
    """A UUIDv7 of a moment; later ones of the same moment are greater."""
    digits = f"{int(at.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{next(_numbers):012x}"
