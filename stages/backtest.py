"""Trade the forecasts of a hold-out, and compare with holding.

Reads models/<horizon>/ (the forecasts of the hold-out and their scores) and data/clean/ (what the
prices did after them); writes metrics/<horizon>/backtest.json with the curves of its plots, and
metrics/<horizon>/cross_section.json: how well the forecast ranks many symbols, date by date.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import polars as pl

from stages.common import tables
from stages.common.errors import DataError
from stages.common.paths import CLEAN_DAILY, METRICS, MODELS
from stages.common.running import arguments, log, run
from stages.common.sections import Horizons, Sections, load, sessions
from stages.forecast.rounding import DIGITS, rounded
from stages.forecast.trading import account, cross_section, performance, strategies, tripwires
from stages.forecast.trading.backtest_params import BacktestParams, IntervalParams
from stages.forecast.trading.grid import grid


class Settings(Sections):
    """What backtest obeys."""

    horizons: Horizons
    evaluate: IntervalParams
    backtest: BacktestParams


@dataclass(frozen=True)
class Backtest:
    """What trading brought.

    Attributes:
        sessions: how many.
        portfolios: performance by name, strategies first.
        plots: their data, by name.
    """

    sessions: int
    portfolios: Mapping[str, Mapping[str, float | None]]
    plots: Mapping[str, pl.DataFrame]


def backtest(
    forecasts: pl.DataFrame, bars: pl.DataFrame, horizon: int, settings: Settings
) -> Backtest:
    """Trade forecasts, and hold the same symbols over the same sessions.

    Args:
        forecasts: of the hold-out: `symbol, date, forecast, lower, upper`.
        bars: `symbol, date, adj_close`, sorted by (symbol, date).
        horizon: in sessions.
        settings: what the stage obeys.

    Raises:
        DataError: no session is left to trade in.
    """
    params = settings.backtest
    panel = grid(forecasts, bars, settings.evaluate.level)
    traded = panel.traded(params.delay)
    dates, returns = panel.dates[traded], panel.returns[traded]
    if dates.is_empty():
        raise DataError(
            f"backtest.delay: {params.delay} sessions after the first forecast, of "
            f"{panel.dates[panel.first]}, the bars end; shorten it, or hold out more "
            "(dataset.test_share)"
        )
    accounts = {
        name: account.trade(positions, returns, params.rate)
        for name, positions in strategies.positions(panel, horizon, params).items()
    }
    holding = {name: accounts[name] for name in strategies.HOLDING}
    drawn = performance.draws(len(dates), horizon, params.seed)
    portfolios = {}
    for name, each in accounts.items():
        lower, upper = performance.sharpe_interval(each.returns, drawn)
        scores = performance.performance(each) | {"sharpe_lower": lower, "sharpe_upper": upper}
        if name not in holding:
            gain, p_value = performance.gain_over(each, holding, horizon)
            scores |= {"sharpe_gain": gain, "p_value": p_value}
        portfolios[name] = scores
    return Backtest(len(dates), portfolios, account.curves(accounts, dates))


def main() -> None:
    """Trade the horizon that the command line names."""
    settings = load(Settings)
    (horizon,) = arguments("horizon")
    length = sessions(settings.horizons, horizon)
    scores = json.loads(tables.file_bytes(MODELS / horizon / "scores.json"))["all"]
    forecasts = tables.read(MODELS / horizon / "forecasts.parquet").drop_nulls("target")
    done = backtest(
        forecasts, tables.read(CLEAN_DAILY, ["symbol", "date", "adj_close"]), length, settings
    )
    ranked = cross_section.by_date(forecasts)
    folder = METRICS / horizon
    files = {
        "backtest.json": _json({"sessions": done.sessions, **done.portfolios}),
        "cross_section.json": _json(cross_section.summary(ranked, length)),
        "ic.csv": _csv(cross_section.by_year(ranked)),
        **{f"{name}.csv": _csv(rows) for name, rows in done.plots.items()},
    }
    with ExitStack() as stack:
        for name, text in files.items():
            path = stack.enter_context(tables.replacing(folder / name))
            path.write_text(text, encoding="utf-8")
    log.info(
        "backtest %s: %s sessions, Sharpe ratio %s -> %s",
        horizon,
        f"{done.sessions:,}",
        ", ".join(
            f"{name} {'-' if scores['sharpe'] is None else format(scores['sharpe'], '+.2f')}"
            for name, scores in done.portfolios.items()
        ),
        folder / "backtest.json",
    )
    for clause in tripwires.fired(scores, length):
        log.warning("backtest %s: %s: look for a leak", horizon, clause)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(_rounded(content), indent=2) + "\n"


def _csv(rows: pl.DataFrame) -> str:
    return rows.with_columns(pl.col(pl.Float64).round_sig_figs(DIGITS)).write_csv()


def _rounded(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    return rounded(content) if isinstance(content, float) else content


if __name__ == "__main__":
    run(main)
