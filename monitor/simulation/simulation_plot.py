"""The picture of a simulation: live losses, drift, and what happened when."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from monitor.simulation.timeline import Event
from stages.common import tables

COLOURS: Mapping[str, str] = {
    "drift": "#c96f00",
    "promoted": "#3f8f3a",
    "rejected": "#e45756",
    "rolled back": "#9b5fa5",
    "fault": "#777777",
}
"""Of the events that are drawn."""

LINES = ("#4c78a8", "#e45756", "#3f8f3a", "#8c6d31", "#2a8580", "#9b5fa5")

WINDOW = 21
"""Sessions of the rolling mean of the loss."""


def losses(forecasts: pl.DataFrame, window: int = WINDOW) -> pl.DataFrame:
    """Rolling mean of the interval score (Gneiting and Raftery, 2007), by model and role.

    Args:
        forecasts: columns of `live_forecasts.SCHEMA`; those without a label do not count.
        window: sessions.

    Returns:
        `model` (eight digits of its md5), `role`, `as_of` and `loss` in percent, sorted.
    """
    actual, lower, upper = pl.col("actual_return"), pl.col("lower"), pl.col("upper")
    outside = pl.max_horizontal(lower - actual, actual - upper, 0.0)
    scored = forecasts.drop_nulls("actual_return").with_columns(
        model=pl.col("model_md5").str.head(8),
        role=pl.col("role").fill_null("champion"),
        loss=100 * (upper - lower + 2 / (1 - pl.col("level")) * outside),
    )
    daily = scored.group_by("role", "model", "as_of").agg(pl.col("loss").mean())
    return (
        daily.sort("role", "model", "as_of")
        .with_columns(
            loss=pl.col("loss")
            .rolling_mean(window, min_samples=min(5, window))
            .over("role", "model")
        )
        .drop_nulls("loss")
        .select("model", "role", "as_of", "loss")
    )


def draw(
    path: Path,
    rolling: pl.DataFrame,
    drift: pl.DataFrame,
    events: Sequence[Event],
) -> None:
    """Draw the picture, as SVG or PNG by the ending of the path; the same input, the same bytes.

    Args:
        path: of the picture.
        rolling: as `losses` gives it.
        drift: `day` and `share`, the share of drifted features.
        events: those of `COLOURS` become vertical lines.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.hashsalt": "simulation", "font.size": 9}):
        figure, (upper, lower) = plt.subplots(
            2, 1, figsize=(11, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
        )
        for number, ((role, model), line) in enumerate(
            rolling.group_by("role", "model", maintain_order=True)
        ):
            upper.plot(
                line["as_of"].to_list(),
                line["loss"].to_list(),
                color=LINES[number % len(LINES)],
                linestyle="-" if role == "champion" else "--",
                label=f"{role} {model}",
            )
        upper.set_ylabel(f"interval score %, mean of {WINDOW} sessions")
        lower.step(drift["day"].to_list(), drift["share"].to_list(), where="post", color="#c96f00")
        lower.set_ylabel("drifted features")
        lower.set_ylim(0, 1)
        _mark((upper, lower), events)
        if not rolling.is_empty():
            upper.legend(loc="upper left", fontsize=8)
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with tables.replacing(path) as partial:
            figure.savefig(partial, format=path.suffix[1:], metadata=metadata)
        plt.close(figure)


def _mark(axes: Sequence[Any], events: Sequence[Event]) -> None:
    for number, event in enumerate(each for each in events if each.kind in COLOURS):
        for axis in axes:
            axis.axvline(event.day, color=COLOURS[event.kind], linewidth=1)
        axes[0].annotate(
            f"{event.kind}: {event.subject}",
            (event.day, 0.02 + 0.06 * (number % 5)),
            xycoords=("data", "axes fraction"),
            rotation=0,
            fontsize=7,
            color=COLOURS[event.kind],
        )
