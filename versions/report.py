"""The results on the terminal: `python -m versions.report`.

Reads what evaluate and backtest wrote to metrics/, and explain to models/. For each horizon it
prints a table (the served forecast, the candidates, the baselines), verdicts on the forecast, its
distribution and on trading it, the newest forecasts and what moves them; then where to look next.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages import params
from stages.common import tables
from stages.common.paths import DATA_DOCS, METRICS, MODELS
from stages.common.running import run
from stages.params import Params
from versions import console
from versions.results import revision_files, score_verdicts
from versions.results.formats import COLUMNS, Column, number
from versions.results.score_verdicts import BASELINES, SERVED, SIGNIFICANT, Scores

FORECASTS = 20
"""Symbols whose newest forecast is shown."""

REASONS = 5
"""Features that are named for each forecast, those that contribute most."""


@dataclass(frozen=True)
class Result:
    """The results of one horizon.

    Attributes:
        scores: pooled over symbols, the served forecast first.
        forecasts: `symbol, date, target_date, close, forecast, lower, upper, probability,
            stale`.
        portfolios: per portfolio of the backtest, its performance.
        explanations: of these forecasts, `symbol, date, forecast, base` and a column for each
            feature; empty where they were not explained.
    """

    scores: Scores
    forecasts: pl.DataFrame
    portfolios: Scores
    explanations: pl.DataFrame


def load(horizon: str) -> Result:
    """Read the results of a horizon.

    Raises:
        InputError: the pipeline has not run.
    """
    folder = METRICS / horizon
    table = _read(folder / "scores.csv").filter(pl.col("symbol") == "all")
    columns = [*(column.name for column in COLUMNS), "crps_skill", "crps_p_value"]
    numbers = table.select(pl.col(columns).cast(pl.Float64))
    scores = dict(zip(table["model"], numbers.iter_rows(named=True), strict=True))
    # Served, then candidates, then the baselines.
    order = sorted(scores, key=lambda name: (name != SERVED, name in BASELINES))
    portfolios = json.loads(revision_files.present(folder / "backtest.json"))
    del portfolios["sessions"]
    forecasts = _read(folder / "forecasts.csv")
    return Result(
        {name: scores[name] for name in order},
        forecasts,
        portfolios,
        _explained(horizon, forecasts),
    )


def _explained(horizon: str, forecasts: pl.DataFrame) -> pl.DataFrame:
    path = MODELS / horizon / "explanations.parquet"
    if not path.exists():
        return pl.DataFrame()
    bars = forecasts.select("symbol", pl.col("date").str.to_date())
    return bars.join(tables.read(path), on=["symbol", "date"], maintain_order="left")


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(revision_files.present(path), infer_schema=False)


def scores_table(scores: Scores, title: str, width: int) -> Table:
    """The table of one horizon, with as many columns as fit into the width."""
    return console.fitting(
        lambda count: _scores_table(scores, title, COLUMNS[:count]), len(COLUMNS), width
    )


def _scores_table(scores: Scores, title: str, columns: Sequence[Column]) -> Table:
    marks = score_verdicts.marked(scores)
    table = console.table(title)
    table.add_column("model")
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for name, row in scores.items():
        cells = (
            _mark(number(row[column.name], column.format), (name, column.name) in marks)
            for column in columns
        )
        style = "bold" if name == SERVED else "dim" if name in BASELINES else ""
        table.add_row(name, *cells, style=style)
    if marks:
        table.caption = (
            f"* best of its column, better than every baseline, and p < {SIGNIFICANT} "
            "against the historical mean"
        )
    return table


def _mark(text: str, best: bool) -> Text:
    return Text(f"{text}*", style="green") if best else Text(f"{text} ")


def forecasts_table(rows: pl.DataFrame, horizon: str) -> Table:
    """The newest forecast of each symbol: returns in percent, with interval and probability.

    A symbol that has ended is marked.
    """
    table = console.table(f"{horizon}: newest forecasts")
    table.add_column("symbol")
    for title in ("bar", "close", "for", "return %", "interval %", "P(rise) %"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows.head(FORECASTS).iter_rows(named=True):
        forecast, lower, upper = (
            number(float(row[name]), "%+.2f") for name in ("forecast", "lower", "upper")
        )
        table.add_row(
            row["symbol"],
            row["date"] + (" stale" if row["stale"] == "true" else ""),
            f"{float(row['close']):,.2f}",
            row["target_date"],
            forecast,
            f"{lower} .. {upper}",
            number(float(row["probability"]), "%.1f"),
        )
    if rows.height > FORECASTS:
        path = METRICS / horizon / "forecasts.csv"
        table.caption = f"and {rows.height - FORECASTS:,} more in {path}"
    return table


def reasons_table(explanations: pl.DataFrame, horizon: str) -> Table | None:
    """What contributes most to the newest forecast of each symbol, in percent of return.

    None where there are no explanations, or no feature contributes anything.
    """
    table = console.table(f"{horizon}: what moves the newest forecasts")
    table.add_column("symbol")
    table.add_column("base %", justify="right", no_wrap=True)
    table.add_column("largest contributions %")
    moved = False
    for row in explanations.head(FORECASTS).iter_rows(named=True):
        symbol, _, _, base = (row.pop(name) for name in ("symbol", "date", "forecast", "base"))
        largest = sorted(row.items(), key=lambda each: -abs(each[1]))[:REASONS]
        named = [f"{name} {number(value, '%+.3f')}" for name, value in largest if value]
        moved = moved or bool(named)
        table.add_row(symbol, number(base, "%+.3f"), ", ".join(named))
    return table if moved else None


def next_steps(horizons: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What to look at next, and the path or command for it."""
    scores = (str(METRICS / name / "scores.csv") for name in horizons)
    yield "all scores, by symbol", ", ".join(scores)
    trades = (str(METRICS / name / "backtest.json") for name in horizons)
    yield "trading and holding", ", ".join(trades)
    cards = (str(MODELS / name / "card.json") for name in horizons)
    yield "how the forecasts were made", ", ".join(cards)
    if DATA_DOCS.exists():
        yield "quality of the data", str(DATA_DOCS)
    yield "plots", "dvc plots show"
    yield "what changed", "dvc metrics diff, dvc params diff"
    yield "an experiment", "dvc exp run -S 'features.sma=[5,20]', make experiments"


def show(screen: Console, settings: Params, results: Mapping[str, Result]) -> None:
    """Print the results of every horizon, and what to look at next."""
    screen.print()
    for horizon, result in results.items():
        sessions = settings.horizons[horizon]
        title = f"{horizon}: return over {sessions} session{'s' * (sessions > 1)}, on the hold-out"
        screen.print(scores_table(result.scores, title, screen.width))
        screen.print(
            Text(score_verdicts.of_forecast(result.scores[SERVED], sessions), style="bold")
        )
        screen.print(Text(score_verdicts.of_distribution(result.scores[SERVED]), style="bold"))
        screen.print(Text(score_verdicts.of_trading(result.portfolios), style="bold"))
        screen.print()
        screen.print(forecasts_table(result.forecasts, horizon))
        screen.print()
        reasons = reasons_table(result.explanations, horizon)
        if reasons is not None:
            screen.print(reasons)
            screen.print()
    steps = Table("Look at", "", box=None, pad_edge=False)
    for what, where in next_steps(list(results)):
        steps.add_row(what, where)
    screen.print(steps)


def main() -> None:
    """Print the results."""
    settings = params.load()
    results = {horizon: load(horizon) for horizon in settings.horizons}
    console.page(lambda screen: show(screen, settings, results))


if __name__ == "__main__":
    run(main)
