"""How long runs took, as bars."""

import polars as pl

from dashboard.charts.run_durations import run_durations


def test_a_bar_for_each_run_is_divided_by_stage() -> None:
    frame = pl.DataFrame(
        {
            "run": ["01-02 09:00:00"] * 3 + ["01-01 09:00:00"],
            "family": ["ingest", "train", "train", "ingest"],
            "seconds": [1.0, 2.0, 3.5, 4.0],
        }
    )
    figure = run_durations(frame)
    bars = {bar.name: dict(zip(bar.y, bar.x, strict=True)) for bar in figure.data}
    assert bars == {
        "ingest": {"01-02 09:00:00": 1.0, "01-01 09:00:00": 4.0},
        "train": {"01-02 09:00:00": 5.5},
    }
    assert figure.layout.barmode == "stack"
    # The newest is on top, and a pattern tells the stages apart as well as the colour.
    assert figure.layout.yaxis.categoryarray == ("01-02 09:00:00", "01-01 09:00:00")
    assert len({bar.marker.pattern.shape for bar in figure.data}) == 2
