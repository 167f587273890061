"""docs/architecture.md and its pictures show the pipeline and the imports as they are."""

import re
import runpy
from graphlib import CycleError
from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.projects import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def pictures() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "pictures.py"))


def rules() -> dict[str, set[str]]:
    """What the table of the page lets every room import."""
    _, _, after = PAGE.partition("| room | may import |\n|---|---|\n")
    rows, _, _ = after.partition("\n\n")
    cells = [re.fullmatch(r"\| (.+?) \| (.+) \|", row) for row in rows.splitlines()]
    return {
        room: set(re.findall(r"`([\w/.]+)`", cell[2]))
        for cell in cells
        if cell is not None
        for room in re.findall(r"`([\w/.]+)`", cell[1])
    }


@pytest.mark.parametrize("name", ["pipeline.svg", "rooms.svg"])
def test_the_pictures_are_those_of_the_checkout(pictures: dict[str, Any], name: str) -> None:
    kept = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    assert pictures["diagrams"]()[name] == kept, "draw them anew: `make pictures`"
    assert f"(pictures/{name})" in PAGE


def test_every_import_between_rooms_is_one_of_the_table(pictures: dict[str, Any]) -> None:
    imports = pictures["imports"]()
    allowed = rules()
    assert set(imports) == set(allowed)
    assert [
        f"{room} imports {other}"
        for room, others in imports.items()
        for other in sorted(others - allowed[room])
    ] == []


def test_a_change_of_the_pipeline_changes_its_picture(pictures: dict[str, Any]) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    before = pictures["pipeline"](stages)
    assert before["clean"] == {"features"}
    assert before["train"] == {"evaluate"}
    stages["features"]["deps"].remove("data/clean")
    assert pictures["pipeline"](stages)["clean"] != before["clean"]
    stages["backtest"] = {"deps": ["models/${item.horizon}/forecasts.parquet"], "outs": ["data/x"]}
    assert pictures["pipeline"](stages)["evaluate"] == {"backtest"}


def test_no_arrow_leads_up_or_through_a_box(pictures: dict[str, Any]) -> None:
    draw = pictures["draw"]
    edges = {"a": {"b", "d", "e"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"d"}, "f": {"d"}}
    boxes = {name: (name * 20, "<odd> & even") for name in edges}
    picture = ET.fromstring(draw(boxes, edges))  # noqa: S314  # drawn just now
    rectangles = [
        tuple(float(each.attrib[key]) for key in ("x", "y", "width", "height"))
        for each in picture.iter(f"{SVG}rect")
        if "rx" in each.attrib
    ]
    assert len(rectangles) == len(edges)
    for (x, y, width, height), (to, down, wide, high) in combinations(rectangles, 2):
        assert x + width <= to or to + wide <= x or y + height <= down or down + high <= y
    lines = [each.attrib["d"] for each in picture.iter(f"{SVG}path") if "stroke" in each.attrib]
    assert len(lines) == sum(map(len, edges.values()))
    for line in lines:
        ys = [float(y) for y in re.findall(r"(?:[MC, ]-?[\d.]+ |V)(-?[\d.]+)", line)]
        assert all(one <= other for one, other in pairwise(ys))
        # Where it runs straight down it may pass a layer of boxes, but none of them.
        for across, start, end in re.findall(r"([\d.]+) ([\d.]+) V([\d.]+)", line):
            for x, y, width, height in rectangles:
                beside = not x < float(across) < x + width
                assert beside or float(end) <= y or float(start) >= y + height


def test_a_circle_is_named(pictures: dict[str, Any]) -> None:
    with pytest.raises(CycleError):
        pictures["draw"]({"a": (), "b": ()}, {"a": {"b"}, "b": {"a"}})
