"""docs/architecture.md and its pictures show the pipeline and the imports as they are."""

import re
import runpy
from collections.abc import Iterator, Sequence
from graphlib import CycleError
from itertools import combinations, pairwise
from math import comb
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
    picture = (ROOT / "docs" / "pictures" / name).read_text(encoding="utf-8")
    assert pictures["diagrams"]()[name] == picture, "draw them anew: `make pictures`"
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
    before = pictures["readers"](stages)
    assert before["clean"] == {"features"}
    assert before["train"] == {"evaluate"}
    stages["features"]["deps"].remove("data/clean")
    assert pictures["readers"](stages)["clean"] != before["clean"]
    stages["more"] = {"deps": ["models/${item.horizon}/forecasts.parquet"], "outs": ["data/x"]}
    assert pictures["readers"](stages)["evaluate"] == {*before["evaluate"], "more"}


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
        points = list(along(line))
        assert all(above <= below for (_, above), (_, below) in pairwise(points))
        for x, y, width, height in rectangles:
            inside = [x < across < x + width and y < down < y + height for across, down in points]
            assert not any(inside)


def along(path: str) -> Iterator[tuple[float, float]]:
    """Points of a path of curves (C), each followed by a line straight down (V)."""
    start, *pieces = path.split(" C")
    x, y = map(float, start.removeprefix("M").split())
    for piece in pieces:
        curve, _, bottom = piece.partition(" V")
        numbers = [float(number) for number in curve.split()]
        xs, ys = (x, *numbers[::2]), (y, *numbers[1::2])
        for step in range(21):
            share = step / 20
            weights = [comb(3, k) * share**k * (1 - share) ** (3 - k) for k in range(4)]
            yield sumprod(weights, xs), sumprod(weights, ys)
        x, y = xs[-1], float(bottom)
        yield from ((x, ys[-1] + (y - ys[-1]) * step / 20) for step in range(21))


def sumprod(weights: Sequence[float], values: Sequence[float]) -> float:
    return round(sum(w * value for w, value in zip(weights, values, strict=True)), 6)


def test_a_circle_is_named(pictures: dict[str, Any]) -> None:
    with pytest.raises(CycleError):
        pictures["draw"]({"a": (), "b": ()}, {"a": {"b"}, "b": {"a"}})
