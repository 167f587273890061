"""Dataset of one horizon: targets, the split in time, and the purge between the two.

Reads data/features/, writes data/datasets/<horizon>/{train,test,newest}.parquet in the columns
of `tables.dataset_contract`. `newest` holds each symbol's newest bar, whose target is yet to come.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date

import polars as pl

from stages.common import tables
from stages.common.errors import DataError, few
from stages.common.paths import DATASETS, FEATURES_DAILY
from stages.common.running import arguments, log, run
from stages.common.sections import Horizons, Sections, checked, load, sessions
from stages.forecast.dataset_params import DatasetParams, selected

_SAME_SYMBOL = pl.col("symbol") == pl.col("symbol").shift(-1)


class Settings(Sections):
    """What dataset obeys."""

    dataset: DatasetParams
    horizons: Horizons


def with_target(features: pl.DataFrame, horizon: int) -> pl.DataFrame:
    """Add the return to the bar `horizon` sessions later, and that bar's date.

    Args:
        features: whole symbols, sorted by (symbol, date).
        horizon: in sessions of the symbol.

    Returns:
        The table with `target` (a fraction, dividends and splits included) and `target_date`,
        both null in the last `horizon` rows of a symbol.
    """
    ahead = pl.col("symbol").shift(-horizon) == pl.col("symbol")
    growth = pl.col("adj_close").shift(-horizon) / pl.col("adj_close") - 1
    return features.with_columns(
        target=pl.when(ahead).then(growth),
        target_date=pl.when(ahead).then(pl.col("date").shift(-horizon)),
    )


def test_start(dates: pl.Series, share: float) -> date:
    """First session of the hold-out: the newest `share` of the sessions that have a target."""
    sessions = dates.unique().sort()
    # Rounded first: 10 * (1 - 0.8) is a hair below 2.
    before = int(round(len(sessions) * (1 - share), 6))
    start: date = sessions[min(before, len(sessions) - 1)]
    return start


def split(rows: pl.DataFrame, start: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split by time and purge.

    A training row's target ends before the hold-out starts (Lopez de Prado, Advances in
    Financial Machine Learning, 2018, chapter 7); rows whose target straddles the start are in
    neither part.
    """
    known = rows.filter(pl.col("target").is_not_null())
    return (
        known.filter(pl.col("target_date") < start),
        known.filter(pl.col("date") >= start),
    )


def usable(rows: pl.DataFrame, features: list[str], scale: str) -> pl.DataFrame:
    """Rows that a model can see: a real bar, and none of its features unknown."""
    return (
        rows.filter(~pl.col("filled"))
        .with_columns(scale=pl.col(scale))
        .drop_nulls([*features, "scale"])
        .select(list(tables.dataset_contract(features)))
    )


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The last row of each symbol, with no target yet."""
    last = rows.filter(~_SAME_SYMBOL.fill_null(value=False))
    return last.with_columns(target=pl.lit(None, pl.Float64), target_date=pl.lit(None, pl.Date))


def _targets(horizon: int, columns: list[str]) -> Iterator[pl.DataFrame]:
    for group in tables.row_groups(FEATURES_DAILY, columns):
        yield with_target(group, horizon)


def _known(horizon: str, features: list[str], quiet: list[str]) -> list[str]:
    """The features that every symbol can have: none of volume where some have no volume."""
    if not quiet:
        return features
    unknown = tables.of_volume(features)
    log.info(
        "dataset %s: %s: no volume, so no model sees %s",
        *(horizon, few(sorted(quiet)), few(unknown)),
    )
    if len(unknown) == len(features):
        raise DataError(
            f"dataset.features: selects only {few(unknown)}, and {few(sorted(quiet))} has no "
            "volume; name other features"
        )
    return [feature for feature in features if feature not in unknown]


def main() -> None:
    """Write the datasets of the horizon that the command line names."""
    settings = load(Settings)
    (name,) = arguments("horizon")
    horizon = sessions(settings.horizons, name)
    names = checked().features
    features, scale = selected(settings.dataset, names), settings.dataset.scale
    dates: list[pl.Series] = []
    longest = 0
    quiet: list[str] = []
    volume = ["volume"] if tables.of_volume(features) else []
    for rows in _targets(horizon, ["symbol", "date", "adj_close", *volume]):
        quiet += tables.without_volume(rows) if volume else []
        longest = max(longest, int(rows.group_by("symbol").len()["len"].max() or 0))  # type: ignore[arg-type]
        dates.append(rows.drop_nulls("target")["date"].unique())
    days = pl.concat(dates)
    if days.is_empty():
        raise DataError(
            f"horizons.{name}: {horizon} sessions are longer than the history: the longest symbol "
            f"has {longest} bars; shorten the horizon or bring more history"
        )
    features = _known(name, features, quiet)
    start = test_start(days, settings.dataset.test_share)
    with tables.replacing(DATASETS / name) as folder, ExitStack() as stack:
        writers = {
            part: stack.enter_context(tables.Writer(folder / f"{part}.parquet"))
            for part in ("train", "test", "newest")
        }
        fixed = ["symbol", "date", "close", "adj_close", "filled"]
        read = 0
        for rows in _targets(horizon, list(dict.fromkeys([*fixed, scale, *features]))):
            read += rows.height
            train, test = split(rows, start)
            for part, frame in (("train", train), ("test", test), ("newest", newest(rows))):
                writers[part].append(usable(frame, features, scale))
        for part in ("train", "test"):
            if not writers[part].rows:
                raise DataError(
                    f"horizons.{name}: no row left for {part}: {horizon} sessions, "
                    f"dataset.test_share {settings.dataset.test_share} and the features' warm-up "
                    f"need more than the longest symbol's {longest} bars; shorten the horizon or "
                    "bring more history"
                )
    log.info(
        "dataset %s: %s rows, %s features -> %s to train, %s held out from %s on",
        name,
        f"{read:,}",
        len(features),
        f"{writers['train'].rows:,}",
        f"{writers['test'].rows:,}",
        start,
    )


if __name__ == "__main__":
    run(main)
