"""The graph of the stages says their states by more than colour."""

import pytest
import yaml

from dashboard.charts.pipeline_chart import SIGNS, Box, pipeline_chart
from dashboard.charts.pipeline_layout import layers
from dashboard.control.stage_graph import readers
from tests.projects import ROOT


def test_every_stage_has_a_box_with_its_state_and_an_arrow_to_its_readers() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    edges = readers(stages)
    boxes = {name: Box("up to date", "up to date") for name in stages}
    figure = pipeline_chart(boxes, edges, "#000000")
    texts = [each.text for each in figure.layout.annotations if each.text]
    assert sorted(texts) == sorted(f"<b>✓ {name}</b><br>up to date" for name in stages)
    arrows = [each for each in figure.layout.annotations if each.showarrow]
    assert len(arrows) == sum(map(len, edges.values()))
    # Down, and never up.
    assert all(arrow.y < arrow.ay for arrow in arrows)


@pytest.mark.parametrize("state", SIGNS)
def test_a_state_has_a_sign_and_a_name_is_no_markup(state: str) -> None:
    figure = pipeline_chart({"a<b>": Box(state, state)}, {"a<b>": set()}, "#000000")
    (box,) = figure.layout.annotations
    assert box.text == f"<b>{SIGNS[state][1]} a&lt;b&gt;</b><br>{state}"


def test_signs_and_states_belong_together() -> None:
    assert len({sign for _, sign in SIGNS.values()}) == len(SIGNS) - 1  # "ran" is "up to date"


def test_boxes_are_in_layers_below_what_they_read() -> None:
    rows, routes = layers(("a", "b", "c"), {"a": {"b", "c"}, "b": {"c"}, "c": set()})
    assert [row[0] for row in rows] == ["a", "b", "c"]
    assert sorted((route[0], route[-1]) for route in routes) == [("a", "b"), ("a", "c"), ("b", "c")]
