"""Live forecasts whose outcome is known, with all their losses and the yardstick's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from monitor.performance import yardstick
from monitor.performance.model_records import ModelRecord
from monitor.performance.yardstick import Span
from monitor.settings import MonitorError
from stages.common.errors import few
from stages.forecast.scoring.distribution import LOSSES, with_losses
from stages.forecast.scoring.spread import interval_score

Scores = Mapping[str, float | None]

YARDSTICK = ("forecast", "lower", "upper", "probability", *LOSSES)
"""What a row keeps of the yardstick, with `base_` before the name."""


@dataclass(frozen=True)
class Judged:
    """Rows that can be scored.

    Attributes:
        rows: `symbol, date, target_date, target, forecast, lower, upper, level, probability, scale,
            model_md5, mean`, `distribution.LOSSES`, and `YARDSTICK` with `base_` before each name;
            NaN where a number is not known. Sorted by date and symbol.
        held_out: the scores on its hold-out of each model whose record could be read.
        ratios: its CRPS there over that of the yardstick.
        problems: what could not be known, in words.
    """

    rows: pl.DataFrame
    held_out: Mapping[str, Scores]
    ratios: Mapping[str, float]
    problems: tuple[str, ...]


def judge(
    forecasts: pl.DataFrame,
    bars: pl.DataFrame,
    record_of: Callable[[str, str], ModelRecord],
) -> Judged:
    """Score each forecast that has a label.

    Args:
        forecasts: of one horizon, as `live_forecasts.read` gives them; of a symbol and bar, the
            newest alone counts.
        bars: `symbol, date, adj_close`, sorted, from which the yardstick is made.
        record_of: the record of a model, from its md5 and revision; may raise MonitorError.
    """
    known = forecasts.drop_nulls(["actual_return", "as_of"]).sort("id")
    known = known.unique(["symbol", "as_of"], keep="last", maintain_order=True)
    rows = known.select(
        *("symbol", "target_date", "lower", "upper", "level", "probability", "scale", "model_md5"),
        "revision",
        date="as_of",
        target="actual_return",
        forecast="predicted_return",
    )
    parts: list[pl.DataFrame] = []
    held_out: dict[str, Scores] = {}
    ratios: dict[str, float] = {}
    problems: list[str] = []
    sessions = int(forecasts["sessions"][-1]) if forecasts.height else 1
    prepared = yardstick.prepared(bars, sessions)
    for (md5,), own in rows.group_by("model_md5", maintain_order=True):
        try:
            record = record_of(str(md5), own["revision"][-1])
            held_out[record.md5] = record.held_out
            part, ratios[record.md5] = _scored(own, record, prepared)
        except MonitorError as error:
            problems.append(str(error))
            part = _without_record(own)
        parts.append(part.drop("revision"))
    if not parts:
        return Judged(_without_record(rows).drop("revision"), {}, {}, ())
    scored = pl.concat(parts, how="diagonal").sort("date", "symbol")
    lacking = scored.filter(pl.col("base_crps").is_nan())
    if lacking.height and not problems:
        problems.append(
            f"the bars lack {lacking.height:,} of the {scored.height:,} bars that forecasts were "
            f"made from ({few(sorted(lacking['symbol'].unique()))}); `dvc repro clean`"
        )
    return Judged(scored, held_out, ratios, tuple(problems))


def _scored(
    own: pl.DataFrame, record: ModelRecord, prepared: pl.DataFrame
) -> tuple[pl.DataFrame, float]:
    span = Span(record.card["symbols"], *record.trained, record.card["scope"] == "per_symbol")
    level = record.level
    means, distribution = yardstick.fitted(prepared, span, level)
    rows = own.join(means, on="symbol", how="left", maintain_order="left")
    bars = prepared.select("symbol", "date", "scale")
    base = rows.select("symbol", "date", "target").join(
        bars, on=["symbol", "date"], maintain_order="left"
    )
    base = yardstick.forecasts(base, means, distribution, level)
    base = base.select("symbol", "date", **{f"base_{name}": name for name in YARDSTICK})
    scored = with_losses(rows, record.spread, level).drop("pit")
    joined = scored.join(base, on=["symbol", "date"], how="left", maintain_order="left")
    filled = [pl.col(name).fill_null(np.nan) for name in ("mean", *base.columns[2:])]
    return joined.with_columns(filled), _on_hold_out(record, prepared)


def _on_hold_out(record: ModelRecord, prepared: pl.DataFrame) -> float:
    """The model's CRPS on its hold-out over that of the yardstick as it was known before."""
    symbols = record.card["symbols"]
    span = Span(symbols, *record.evaluated, record.card["scope"] == "per_symbol")
    means, distribution = yardstick.fitted(prepared, span, record.level)
    rows = prepared.drop_nulls("target").filter(
        pl.col("symbol").is_in(symbols),
        pl.col("date") > record.known,
        pl.col("target_date") <= record.as_of,
    )
    base = yardstick.forecasts(rows, means, distribution, record.level)["crps"].mean()
    own = record.held_out.get("crps")
    if own is None or not isinstance(base, float):
        raise MonitorError(
            f"model {record.md5[:8]} has no CRPS of a hold-out from {record.known} to "
            f"{record.as_of}: it cannot be judged whether it got worse"
        )
    return own / base


def _without_record(own: pl.DataFrame) -> pl.DataFrame:
    """Rows whose model is not known: only what the log itself holds can be scored."""
    unknown = ("mean", *LOSSES, *(f"base_{name}" for name in YARDSTICK))
    target, lower, upper = (own[name].to_numpy() for name in ("target", "lower", "upper"))
    # All forecasts of a model have its level.
    level = float(own["level"][0]) if own.height else 0.0
    missing = dict.fromkeys(unknown, pl.lit(np.nan))
    score = pl.Series("interval_score", interval_score(target, lower, upper, level))
    return own.with_columns(**missing | {"interval_score": score})
