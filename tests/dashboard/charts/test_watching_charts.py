"""The charts of the page Monitoring: what they draw of a frame; no text of others is HTML."""

from datetime import UTC, datetime, timedelta

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest

from dashboard.charts import drift_charts, health_strip, metric_lines, score_intervals, time_bars
from dashboard.charts.health_strip import CELLS, LETTERS
from stages.common import tables

AT = datetime(2013, 1, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCRIPT = "<script>1</script>"
ESCAPED = "&lt;script&gt;1&lt;/script&gt;"


def health(*rows: tuple[datetime, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(at, of, "", state) for at, of, state in rows],
        schema={
            "at": tables.UTC,
            "of": pl.String,
            "horizon": pl.String,
            "greatest": pl.Float64,
        },
        orient="row",
    )


def test_a_strip_has_the_worst_state_of_each_span_and_a_letter_for_it() -> None:
    begin, end = AT, AT + CELLS * DAY
    history = health(
        (AT + DAY / 2, "models", 0.0),
        (AT + DAY / 3, "models", 2.0),
        (AT + 1.5 * DAY, "models", 1.0),
        (end, SCRIPT, 0.0),
        (AT, "disk", None),
    )
    figure = health_strip.strip(history, begin, end)
    drawn = figure.data[0]
    assert list(drawn.y) == [ESCAPED, "models"]
    assert list(drawn.text[1][:3]) == [LETTERS[2], LETTERS[1], ""]
    assert list(drawn.z[1][:3]) == [2.0, 1.0, None]
    assert drawn.text[0][-1] == LETTERS[0]
    assert len(drawn.x) == CELLS


def test_a_first_check_of_this_moment_has_a_strip() -> None:
    drawn = health_strip.strip(health((AT, "models", 1.0)), AT, AT).data[0]
    assert drawn.text[0][-1] == LETTERS[1]
    assert len(set(drawn.x)) == CELLS


def lines(*rows: tuple[datetime, str, float | None]) -> pl.DataFrame:
    schema: tables.Contract = {"at": tables.UTC, "series": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_lines_differ_in_more_than_colour_and_have_their_threshold() -> None:
    history = lines((AT, "a", 1.0), (AT, SCRIPT, 2.0), (AT + DAY, "a", None), (AT + DAY, "a", 3.0))
    figure = metric_lines.lines(history, y="share", thresholds={"limit": 5.0}, logarithmic=True)
    first, second, limit = figure.data
    assert (first.name, second.name, limit.name) == ("a", ESCAPED, "limit")
    assert list(first.y) == [1.0, None, 3.0]
    assert first.line.dash != second.line.dash
    assert first.line.color != second.line.color
    assert list(limit.y) == [5.0, 5.0]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis.title.text == "share"


def test_nothing_to_draw_is_no_error() -> None:
    assert not metric_lines.lines(lines(), thresholds={"limit": 5.0}).data
    empty = time_bars.bars(spans(), ("CRITICAL",))
    assert not empty.data


def test_the_rarest_features_are_written_and_dark() -> None:
    history = pl.DataFrame(
        {
            "at": [AT, AT, AT + DAY, AT + DAY],
            "of": ["calm", SCRIPT, "calm", SCRIPT],
            "value": [0.5, 0.0, 0.2, None],
        }
    )
    drawn = drift_charts.rarity(history).data[0]
    assert list(drawn.y) == ["calm", ESCAPED]
    assert [list(row) for row in drawn.text] == [["", ""], ["0", ""]]
    assert drawn.z[0][0] == pytest.approx(-np.log10(0.5))
    assert drawn.z[1][0] == 4
    assert np.isnan(drawn.z[1][1])


def test_distributions_are_shares_of_both_tables_on_the_same_bins() -> None:
    histogram = {"low": 0.0, "high": 4.0, "reference": [10, 20, 10, 0], "window": [0, 0, 1, 3]}
    training, window = drift_charts.distributions(histogram, SCRIPT).data
    assert list(training.x) == [0.5, 1.5, 2.5, 3.5]
    assert list(training.y) == [0.25, 0.5, 0.25, 0]
    assert list(window.x) == [0, 1, 2, 3, 4]
    assert list(window.y) == [0, 0, 0.25, 0.75, 0.75]


def test_live_scores_have_their_interval_and_what_they_are_compared_with() -> None:
    scores = {
        "crps": {"live": 2.0, "interval": [1.5, 3.0], "held_out": 1.8, "yardstick": 2.1},
        "rank_ic": {"live": 0.1, "interval": None, "held_out": None, "yardstick": None},
    }
    figure = score_intervals.intervals(scores)
    live = [trace for trace in figure.data if trace.name == "live, 95 %"]
    assert [trace.x[0] for trace in live] == [2.0, 0.1]
    assert (live[0].error_x.array[0], live[0].error_x.arrayminus[0]) == (1.0, 0.5)
    assert live[1].error_x.array[0] == 0
    assert {trace.xaxis for trace in live} == {"x", "x2"}
    assert {trace.marker.symbol for trace in figure.data} == {"circle", "diamond-open", "x"}


def spans(*rows: tuple[str, datetime, datetime, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=time_bars.SPANS, orient="row")


def test_bars_go_from_begin_to_end_in_the_row_of_their_rule() -> None:
    episodes = spans(
        ("drift", AT, AT + DAY, "WARNING", "many"),
        ("drift", AT + 2 * DAY, AT + 3 * DAY, "WARNING", SCRIPT),
        (SCRIPT, AT, AT, "INFO", "a moment"),
    )
    figure = time_bars.bars(episodes, ("CRITICAL", "WARNING", "INFO"))
    warning, info = figure.data
    assert (warning.name, info.name) == ("WARNING", "INFO")
    assert list(warning.x) == [AT, AT + DAY, None, AT + 2 * DAY, AT + 3 * DAY, None]
    assert warning.text[3] == ESCAPED
    assert set(info.y) == {ESCAPED}
    assert warning.line.dash != info.line.dash
    assert warning.marker.symbol != info.marker.symbol


@pytest.mark.parametrize(
    "figure",
    [
        metric_lines.lines(lines((AT, "a", 1.0))),
        time_bars.bars(spans(("a", AT, AT, "k", "")), ("k",)),
        health_strip.strip(health((AT, "a", 0.0)), AT, AT + DAY),
    ],
)
def test_backgrounds_are_those_of_the_theme(figure: go.Figure) -> None:
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
