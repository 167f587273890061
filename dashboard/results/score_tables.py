"""Scores and portfolios as tables of numbers, with the format of each column."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from dashboard.results.horizon_metrics import HorizonMetrics
from dashboard.results.metric_meanings import SHOWN
from versions.results.formats import Column, number
from versions.results.score_verdicts import BASELINES, SERVED

ALL: Final = "all"
"""The symbol of scores over all symbols."""

FIRST: Final = ("oos_r2", "p_value", "crps_skill", "crps_p_value")

P_VALUES: Final = ("p_value", "crps_p_value")

PERFORMANCE: Final = (
    Column("return", "return % a year", "%+.2f", "high"),
    Column("volatility", "volatility %", "%.2f", "low"),
    Column("sharpe", "Sharpe", "+.2f", "high"),
    Column("sharpe_lower", "Sharpe from", "+.2f"),
    Column("sharpe_upper", "to", "+.2f"),
    Column("sharpe_gain", "gain over holding", "+.2f", "high"),
    Column("p_value", "p", ".3f"),
    Column("max_drawdown", "largest loss %", "%.2f", "high"),
    Column("turnover", "turnover a year", ".1f"),
    Column("hit_rate", "sessions with a gain %", "%.1f"),
)

Formats = dict[str, str]


def sessions(params: Mapping[str, Any], horizon: str) -> int:
    """The length of a horizon; 0 is not known."""
    lengths = params.get("horizons")
    value = lengths.get(horizon) if isinstance(lengths, Mapping) else None
    return value if isinstance(value, int) else 0


def level(params: Mapping[str, Any]) -> float | None:
    """Share of outcomes that an interval is to hold; None is not known."""
    section = params.get("evaluate")
    value = section.get("level") if isinstance(section, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def symbols(table: pl.DataFrame) -> list[str]:
    """Those of `scores.csv`, all of them together first."""
    return table["symbol"].unique(maintain_order=True).to_list()


def served(table: pl.DataFrame) -> Mapping[str, float | None] | None:
    """The scores of the served forecast over all symbols."""
    rows = table.filter((pl.col("symbol") == ALL) & (pl.col("model") == SERVED))
    return rows.row(0, named=True) if rows.height else None


def scores(table: pl.DataFrame, symbol: str) -> tuple[pl.DataFrame, Formats]:
    """The scores of one symbol: a row a model, served, then candidates, then baselines.

    Args:
        table: `scores.csv`.
        symbol: or `ALL`.

    Returns:
        `model` and a column by the title of each score, percent where it says so; and the formats.
    """
    rows = table.filter(pl.col("symbol") == symbol).sort(
        pl.col("model") != SERVED, pl.col("model").is_in(BASELINES), maintain_order=True
    )
    columns = sorted(
        (column for column in SHOWN if column.name in table.columns),
        key=lambda column: FIRST.index(column.name) if column.name in FIRST else len(FIRST),
    )
    return _numbers(rows.rename({"model": "name"}), "model", columns)


def portfolios(document: Mapping[str, Any]) -> dict[str, Mapping[str, float | None]]:
    """The portfolios of `backtest.json`."""
    return {name: row for name, row in document.items() if isinstance(row, Mapping)}


def performance(
    portfolios: Mapping[str, Mapping[str, float | None]],
) -> tuple[pl.DataFrame, Formats]:
    """A row a portfolio, and the formats."""
    schema = {"name": pl.String, **{column.name: pl.Float64 for column in PERFORMANCE}}
    rows = [{"name": name, **row} for name, row in portfolios.items()]
    return _numbers(pl.DataFrame(rows, schema=schema), "portfolio", PERFORMANCE)


def _numbers(rows: pl.DataFrame, name: str, columns: Any) -> tuple[pl.DataFrame, Formats]:
    table = rows.select(
        pl.col("name").alias(name),
        *(
            (pl.col(column.name) * (100 if column.format.startswith("%") else 1)).alias(
                column.title
            )
            for column in columns
        ),
    )
    # A p-value is small, never zero.
    return table, {
        column.title: "%.3g" if column.name in P_VALUES else f"%{column.format.lstrip('%')}"
        for column in columns
    }


def rank_ic_line(results: HorizonMetrics) -> str:
    """The mean rank IC with its t value and p, in one line."""
    ranks = results.documents.get("cross_section", {})
    if ranks.get("ic") is None:
        return ""
    return (
        f"Mean over {ranks['dates']:,} dates {number(ranks['ic'], '+.4f')}, t "
        f"{number(ranks['ic_t'], '+.2f')}, one-sided p {number(ranks['ic_p'], '.3f')}; above 0.1 "
        "a day, look for a leak."
    )
