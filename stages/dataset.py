"""Dataset of one horizon: targets, the split in time, and the purge between the two.

Reads data/features/, writes data/datasets/<horizon>/{train,purged,test,newest}.parquet in the
columns of `tables.dataset_contract`. `newest` holds each symbol's newest bar, whose target is yet
to come; `purged` the rows whose target straddles the start of the hold-out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from stages.common import tables
from stages.common.errors import DataError, few
from stages.common.paths import DATASETS, FEATURES_DAILY
from stages.common.running import arguments, log, run
from stages.common.sections import Horizons, Sections, checked, load, sessions
from stages.forecast.dataset_params import LEVEL, DatasetParams, chosen, columns

_FIXED = ["symbol", "date", "close", "adj_close", "filled"]

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


def split(rows: pl.DataFrame, start: date) -> dict[str, pl.DataFrame]:
    """Split by time and purge, into `train`, `purged` and `test`.

    A training row's target ends before the hold-out starts (Lopez de Prado, Advances in
    Financial Machine Learning, 2018, chapter 7); rows whose target straddles the start are purged:
    only the refit, which is scored on neither part, is trained on them.
    """
    known = rows.filter(pl.col("target").is_not_null())
    held_out, ends_before = pl.col("date") >= start, pl.col("target_date") < start
    return {
        "train": known.filter(ends_before),
        "purged": known.filter(~held_out & ~ends_before),
        "test": known.filter(held_out),
    }


def usable(rows: pl.DataFrame, features: list[str]) -> pl.DataFrame:
    """Rows that a model can see: a real bar, and none of its features unknown."""
    return (
        rows.filter(~pl.col("filled"))
        .drop_nulls(features)
        .select(list(tables.dataset_contract(features)))
    )


def check_levels(rows: pl.DataFrame, levels: list[str]) -> None:
    """Check that the levels that `dataset.scale` selects have a logarithm.

    Raises:
        DataError: one is zero or below.
    """
    for name in levels:
        low = rows.filter(pl.col(name) <= 0)
        if low.height:
            raise DataError(
                f"dataset.scale: {name} is {low[name][0]:g} on {low['date'][0]}, and only a level "
                "that is always above 0 has a logarithm; take it out of dataset.scale"
            )


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The last row of each symbol, with no target yet."""
    last = rows.filter(~_SAME_SYMBOL.fill_null(value=False))
    return last.with_columns(target=pl.lit(None, pl.Float64), target_date=pl.lit(None, pl.Date))


def _targets(horizon: int, columns: list[str]) -> Iterator[pl.DataFrame]:
    for group in tables.row_groups(FEATURES_DAILY, columns):
        yield with_target(group, horizon)


def culprits(rows: pl.DataFrame, names: list[str]) -> dict[str, int]:
    """By column, how many rows a model cannot see because this column alone is unknown.

    Args:
        rows: `filled`, and the columns.
        names: of the features.
    """
    unknown = pl.sum_horizontal(pl.col(name).is_null() for name in names)
    alone = rows.filter(~pl.col("filled") & (unknown == 1))
    counts = alone.select(names).null_count().row(0, named=True)
    return {name: count for name, count in counts.items() if count}


@dataclass
class _Extent:
    """What is read of all symbols before their rows are split."""

    dates: list[pl.Series] = field(default_factory=list)
    longest: int = 0
    symbols: int = 0
    rows: int = 0
    rows_with_hours: int = 0
    without_volume: list[str] = field(default_factory=list)
    without_hours: list[str] = field(default_factory=list)


def _extent(horizon: int, features: list[str]) -> _Extent:
    extent = _Extent()
    volume = ["volume"] if tables.of_volume(features) else []
    hours = tables.of_hours(features)
    for rows in _targets(horizon, ["symbol", "date", "adj_close", *volume, *hours]):
        known = rows.group_by("symbol", maintain_order=True).agg(pl.len(), pl.col(hours).count())
        extent.longest = max(extent.longest, *known["len"])
        extent.symbols += known.height
        extent.rows += rows.height
        extent.dates.append(rows.drop_nulls("target")["date"].unique())
        extent.without_volume += tables.without_volume(rows) if volume else []
        for name in hours:
            extent.rows_with_hours += int(known[name].sum())
            extent.without_hours += known.filter(pl.col(name) == 0)["symbol"].to_list()
    return extent


def _known(horizon: str, features: list[str], extent: _Extent) -> list[str]:
    """The features that models can see.

    None of volume where a symbol has no volume, none of hourly bars where no symbol has them.
    """
    no_volume = tables.of_volume(features) if extent.without_volume else []
    if no_volume:
        log.info(
            "dataset %s: %s: no volume, so no model sees %s",
            *(horizon, few(sorted(extent.without_volume)), few(no_volume)),
        )
    hours = tables.of_hours(features)
    no_hours = hours if len(extent.without_hours) == extent.symbols else []
    if no_hours:
        log.info("dataset %s: no hourly bars, so no model sees %s", horizon, few(no_hours))
    elif hours and extent.rows_with_hours < extent.rows:
        nothing = extent.without_hours
        log.warning(
            "dataset %s: %s is known in %s of %s rows, and models see no other%s: bring the hourly "
            "bars, or take it out of dataset.features",
            *(horizon, few(hours), f"{extent.rows_with_hours:,}", f"{extent.rows:,}"),
            f" and none of {few(nothing)}" if nothing else "",
        )
    unknown = [*no_volume, *no_hours]
    if len(unknown) == len(features):
        lacking = [
            *([f"{few(sorted(extent.without_volume))} has no volume"] if no_volume else []),
            *(["no symbol has hourly bars"] if no_hours else []),
        ]
        raise DataError(
            f"dataset.features: selects only {few(unknown)}, and {' and '.join(lacking)}; name "
            "other features"
        )
    return [feature for feature in features if feature not in unknown]


def _without_one(part: str, horizon: int, start: date, features: list[str]) -> str:
    """Which column alone leaves no row in a part, and the remedy; empty if none does."""
    counts: Counter[str] = Counter()
    for rows in _targets(horizon, [*_FIXED, *features]):
        counts.update(culprits(split(rows, start)[part], features))
    if not counts:
        return ""
    name, rows_without = counts.most_common(1)[0]
    return (
        f"; {name} is unknown in {rows_without:,} rows that have everything else: bring the bars "
        "that it is made of, or take it out of dataset.features"
    )


def main() -> None:
    """Write the datasets of the horizon that the command line names."""
    settings = load(Settings)
    (name,) = arguments("horizon")
    horizon = sessions(settings.horizons, name)
    names = checked().features
    features = columns(settings.dataset, names)
    extent = _extent(horizon, features)
    days, longest = pl.concat(extent.dates), extent.longest
    if days.is_empty():
        raise DataError(
            f"horizons.{name}: {horizon} sessions are longer than the history: the longest symbol "
            f"has {longest} bars; shorten the horizon or bring more history"
        )
    features = _known(name, features, extent)
    levels = chosen([LEVEL], chosen(settings.dataset.scale, features))
    start = test_start(days, settings.dataset.test_share)
    with tables.replacing(DATASETS / name) as folder, ExitStack() as stack:
        writers = {
            part: stack.enter_context(tables.Writer(folder / f"{part}.parquet"))
            for part in ("train", "purged", "test", "newest")
        }
        read = 0
        for rows in _targets(horizon, [*_FIXED, *features]):
            read += rows.height
            for part, frame in {**split(rows, start), "newest": newest(rows)}.items():
                usable_rows = usable(frame, features)
                check_levels(usable_rows, levels)
                writers[part].append(usable_rows)
        for part in ("train", "test"):
            if not writers[part].rows:
                lacking = _without_one(part, horizon, start, features)
                raise DataError(
                    f"horizons.{name}: no row left for {part}: {horizon} sessions, "
                    f"dataset.test_share {settings.dataset.test_share}"
                    + (
                        lacking
                        or f" and the features' warm-up need more than the longest symbol's "
                        f"{longest} bars; shorten the horizon or bring more history"
                    )
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
