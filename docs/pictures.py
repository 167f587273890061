"""Draw the pictures of the docs as SVG files, without a browser and without a network.

`python docs/pictures.py [folder]` (`make pictures`) draws the pipeline (from `dvc.yaml`), the rooms
(from their imports) and the plots of `dvc plots show`, whose own page loads its scripts from a CDN.
With revisions or experiments after the folder it draws the plots of `dvc plots diff`, side by side:
`python docs/pictures.py var/pictures HEAD averages` (`make pictures REVS='HEAD averages'`).
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from graphlib import CycleError
from html import escape
from itertools import cycle
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

import grimp
import vl_convert
import yaml

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from dashboard.charts.pipeline_layout import Edges, Route, layers  # noqa: E402
from dashboard.control.stage_graph import outputs, readers  # noqa: E402

COMMON, PARAMS = "stages/common", "stages/params.py"

MANY = 3
"""So many files of one folder are shown as the folder."""

COLOURS = ("#4c78a8", "#e45756", "#3f8f3a", "#9b5fa5", "#8c6d31", "#c96f00", "#2a8580")
GAP, PADDING, LINE = 26, 10, 16
CHARACTER = 7.3
"""Pixels of a character of a monospaced font of 12 pixels, rounded up."""


class Place(NamedTuple):
    """Where a box or a point is, in pixels from the top left."""

    left: float
    top: float
    width: float
    bottom: float

    def x(self, index: int, count: int) -> float:
        """Where one of `count` arrows meets the box."""
        return self.left + self.width * (index + 1) / (count + 1)


def main() -> None:
    """Draw every picture of the checked-out revision, or the plots of the revisions named."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    revisions = sys.argv[2:]
    try:
        pictures = plots(["diff", *revisions]) if revisions else {**diagrams(), **plots(["show"])}
    except CycleError as error:
        sys.exit(f"error: a circle of stages or of imports: {', '.join(error.args[1])}")
    for name, svg in pictures.items():
        (folder / name).write_text(svg, encoding="utf-8")
        sys.stdout.write(f"{folder / name}\n")


def plots(command: Sequence[str]) -> dict[str, str]:
    """The plots of `dvc plots show` or `dvc plots diff`, as SVG by file name."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", *command, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr.strip())
    pictures = {}
    for name, drawn in sorted(json.loads(done.stdout)["data"].items()):
        # A table without rows, such as the IC of few symbols, gives no plot.
        if not drawn:
            continue
        path, content = Path(name), drawn[0]["content"]
        specification = content if isinstance(content, dict) else json.loads(content)
        pictures[f"{path.parent.name}-{path.stem}.svg"] = vl_convert.vegalite_to_svg(specification)
    return pictures


def diagrams() -> dict[str, str]:
    """The diagrams of the architecture, as SVG by file name."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    rooms = imports()
    return {
        "pipeline.svg": draw({name: _notes(stages[name]) for name in stages}, readers(stages)),
        # Every room may import the common one: those arrows would hide the others.
        "rooms.svg": draw(
            dict.fromkeys(rooms, ()),
            {room: others - {COMMON} or others for room, others in rooms.items()},
            gap=46,
        ),
    }


def imports() -> dict[str, set[str]]:
    """For every room, the other rooms that its modules import."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    graph = grimp.build_graph(*sorted(packages), cache_dir=None)
    rooms: dict[str, set[str]] = defaultdict(set)
    for module in sorted(graph.modules):
        imported = {_room(name) for name in graph.find_modules_directly_imported_by(module)}
        rooms[_room(module)] |= imported - {_room(module)}
    return dict(rooms)


def _room(module: str) -> str:
    """`stages/bars` of `stages.bars.cleaning.rules`; the stages share one room, all but params."""
    first, *rest = module.split(".")
    if first != "stages" or not rest:
        return first
    if rest[0] in {"params", "monitor_params"}:
        return PARAMS
    return f"{first}/{rest[0]}" if (ROOT / first / rest[0]).is_dir() else first


def _notes(stage: Mapping[str, Any]) -> list[str]:
    """How often a stage runs, and what it makes."""
    paths = [path.replace("${item.", "<").replace("}", ">") for path in outputs(stage)]
    folders = [path.rpartition("/")[0] for path in paths]
    many = {folder for folder, count in Counter(folders).items() if count >= MANY}
    names = (
        f"{folder}/" if folder in many else path
        for path, folder in zip(paths, folders, strict=True)
    )
    keys = stage.get("matrix")
    return [*([f"for each {' and '.join(keys)}"] if keys else ()), *dict.fromkeys(names)]


def draw(boxes: Mapping[str, Sequence[str]], edges: Edges, gap: int = GAP) -> str:
    """Draw boxes from top to bottom, so that every arrow leads down and crosses no box.

    The layout is that of Sugiyama, Tagawa and Toda (1981): boxes in layers, a point in every layer
    that an arrow passes, and each layer in the order of its neighbours.

    Args:
        boxes: the lines below the name of a box, by name.
        edges: the arrows.
        gap: pixels between two layers.

    Raises:
        CycleError: the arrows form a circle.
    """
    longest = max(len(text) for name, lines in boxes.items() for text in (name, *lines))
    width = longest * CHARACTER + 2 * PADDING
    rows, routes = layers(boxes, edges)
    # The sum of floats by `sum` is another one from Python 3.12 on.
    spans = [fsum(width + GAP if name in boxes else GAP for name in row) for row in rows]
    total = max(spans) - GAP + 2 * PADDING
    places: dict[str, Place] = {}
    top = float(PADDING)
    for row, span in zip(rows, spans, strict=True):
        bottom = top + PADDING + LINE * (1 + max(len(boxes.get(name, ())) for name in row))
        left = (total - span + GAP) / 2
        for name in row:
            places[name] = Place(left, top, width if name in boxes else 0, bottom)
            left += places[name].width + GAP
        top = bottom + gap
    height = top - gap + PADDING
    colours = dict(zip(boxes, cycle(COLOURS), strict=False))
    size = f'viewBox="0 0 {total:g} {height:g}" width="{total:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *(_arrow(route, routes, places, colours[route[0]]) for route in routes),
        *(_box(name, boxes[name], places[name], colours[name]) for name in boxes),
    ]
    return "\n".join(parts) + "\n</svg>\n"


def _arrow(route: Route, routes: Sequence[Route], places: Mapping[str, Place], colour: str) -> str:
    first, *between, last = route
    leaving = sorted((one for one in routes if one[0] == first), key=lambda one: places[one[1]])
    arriving = sorted((one for one in routes if one[-1] == last), key=lambda one: places[one[-2]])
    x, y = places[first].x(leaving.index(route), len(leaving)), places[first].bottom
    end = places[last].x(arriving.index(route), len(arriving)), places[last].top - 5
    path = f"M{x:.1f} {y:.1f}"
    points = [(places[name].left, places[name].top, places[name].bottom) for name in between]
    for to, down, bottom in [*points, (*end, end[1])]:
        middle = (y + down) / 2
        path += f" C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {down:.1f} V{bottom:.1f}"
        x, y = to, bottom
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        f'<path d="M{x - 4:.1f} {y - 3:.1f} h8 l-4 8 z" fill="{colour}"/>'
    )


def _box(name: str, lines: Sequence[str], box: Place, colour: str) -> str:
    x, y = box.left + PADDING, box.top + LINE
    texts = [f'<text x="{x:.1f}" y="{y:.1f}" font-weight="bold">{escape(name)}</text>']
    texts += [
        f'<text x="{x:.1f}" y="{y + LINE * number:.1f}" fill="#555">{escape(line)}</text>'
        for number, line in enumerate(lines, 1)
    ]
    return (
        f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" '
        f'height="{box.bottom - box.top:.1f}" rx="5" fill="#f7f7f7" stroke="{colour}"/>'
        + "".join(texts)
    )


if __name__ == "__main__":
    main()
