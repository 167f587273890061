"""What a browser is sent of a chart."""

import json

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts.chart_style import themed
from dashboard.charts.outcome_chart import coverage_chart

ROWS = pl.DataFrame({"target_date": ["2012-01-03", "2012-01-04"], "coverage": [0.5, 0.75]})


def _script() -> None:
    from dashboard.charts.outcome_chart import coverage_chart
    from dashboard.show_chart import show_chart
    from tests.dashboard.views.test_show_chart import ROWS

    show_chart(coverage_chart(ROWS, 0.9, 2), "Coverage")


def test_a_browser_has_no_reason_to_draw_a_chart_twice() -> None:
    page = AppTest.from_function(_script, default_timeout=60).run()
    assert not page.exception
    (chart,) = page.get("plotly_chart")
    layout = json.loads(chart.proto.spec)["layout"]
    # Another template, or other data, is what makes it draw all of it again.
    assert "template" not in layout
    assert layout["datarevision"] == 1
    # With room for labels that is fixed, it does not measure them first.
    assert not layout["yaxis"]["automargin"]
    assert chart.proto.alt == "Coverage"
    assert chart.proto.theme == ""


@pytest.mark.parametrize(("dark", "text"), [(False, "#6d7183"), (True, "#e6eaf1")])
def test_text_is_legible_in_light_and_dark(dark: bool, text: str) -> None:
    figure = themed(coverage_chart(ROWS, 0.9, 2), dark=dark)
    assert figure.layout.font.color == figure.layout.hoverlabel.font.color == text
    assert figure.layout.font.size == 12
