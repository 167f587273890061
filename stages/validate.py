"""Validate the tables against the suites of `great_expectations/`, and stop on bad data.

Checks data/raw/, data/clean/ and data/features/, writes metrics/validation.json and builds the data
docs under great_expectations/uncommitted/. See docs/validation.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from pydantic import Field

from stages.common import tables
from stages.common.errors import InputError
from stages.common.paths import (
    CLEAN_DAILY,
    CLEAN_HOURLY,
    CLEAN_MARKET,
    FEATURES_DAILY,
    METRICS,
    RAW,
)
from stages.common.running import run
from stages.common.sections import DataParams, Sections, checked, load, of_symbol
from stages.quality.helper_columns import (
    BARS,
    FINITE,
    IN_ORDER,
    KNOWN,
    bars_of_symbol,
    every_number_finite,
    in_order,
    stay_known,
)
from stages.quality.score import Checked, Report
from stages.quality.suites import Suites
from stages.quality.validate_params import ValidateParams
from stages.quality.validation import Part, check, conclude


class Settings(Sections):
    """What validate obeys."""

    data: DataParams
    validate_: ValidateParams = Field(alias="validate")


def raw_parts() -> list[Part]:
    """The tables that ingest writes to data/raw/."""
    parts = [
        Part(f"raw/{kind}", "raw", sorted((RAW / kind).glob("*.parquet")), contract)
        for kind, contract in tables.RAW_BARS.items()
    ]
    actions = RAW / "actions.parquet"
    parts.append(Part("raw/actions", "raw", [actions] if actions.exists() else [], tables.ACTIONS))
    if not any(part.files for part in parts):
        raise InputError(f"{RAW}: there is no table; run `dvc repro` or `dvc pull`")
    return [part for part in parts if part.files]


def clean_parts() -> list[Part]:
    """The tables that clean writes to data/clean/."""
    daily, hourly = tables.CLEAN_DAILY, tables.CLEAN_HOURLY
    parts = [
        Part(
            "clean/daily",
            "clean",
            [CLEAN_DAILY],
            daily,
            helpers={IN_ORDER: in_order("date"), BARS: bars_of_symbol},
        ),
        Part(
            "clean/hourly",
            "clean",
            [CLEAN_HOURLY],
            hourly,
            helpers={IN_ORDER: in_order("timestamp")},
        ),
        Part("clean/market", "clean", [CLEAN_MARKET], daily, helpers={IN_ORDER: in_order("date")}),
    ]
    return [part for part in parts if part.files[0] == CLEAN_DAILY or part.files[0].exists()]


def with_levels(parts: Sequence[Part], data: DataParams) -> list[Part]:
    """Move the levels of the market series to a suite that does not ask for prices."""
    of_symbols = [of_symbol(level, "") for level in data.symbol_levels]
    symbol = pl.col("symbol")
    levels = pl.any_horizontal(symbol.is_in(data.levels), *map(symbol.str.starts_with, of_symbols))
    apart: list[Part] = []
    for part in parts:
        if not (data.levels or data.symbol_levels) or not part.name.endswith("/market"):
            apart.append(part)
            continue
        if set(data.market) > set(data.levels):
            apart.append(replace(part, rows=~levels))
        # A helper remembers the last row, so each part needs its own.
        helpers = {IN_ORDER: in_order("date")} if part.helpers else {}
        name = part.name.replace("market", "levels")
        apart.append(replace(part, name=name, suite="levels", helpers=helpers, rows=levels))
    return apart


def feature_parts(names: Sequence[str]) -> list[Part]:
    """The table that features writes to data/features/, with these features."""
    return [
        Part(
            "features/daily",
            "features",
            [FEATURES_DAILY],
            tables.features_contract(names),
            names,
            {IN_ORDER: in_order("date"), FINITE: every_number_finite, KNOWN: stay_known(names)},
        )
    ]


def validate_tables(
    suites: Suites, data: DataParams, min_bars: int, features: Sequence[str]
) -> Report:
    """Check raw, clean and features.

    Args:
        suites: the committed context.
        data: the newest session that a table may have, and what its market series are.
        min_bars: that each symbol must have.
        features: the columns that the features stage makes.
    """
    parameters: dict[str, Any] = {"as_of": data.as_of, "min_bars": min_bars}
    report: dict[str, list[Checked]] = {}
    bars = with_levels([*raw_parts(), *clean_parts()], data)
    for part in [*bars, *feature_parts(features)]:
        checked = check(part, suites, parameters)
        if part.name == "clean/daily":
            parameters["clean_rows"] = checked.rows
        report.setdefault(part.suite, []).append(checked)
    return report


def main() -> None:
    """Validate raw bars, clean bars and features."""
    settings = load(Settings)
    suites, features = Suites(), checked().features
    report = validate_tables(suites, settings.data, settings.validate_.min_bars, features)
    conclude(report, suites, METRICS / "validation.json", settings.validate_.min_quality)


if __name__ == "__main__":
    run(main)
