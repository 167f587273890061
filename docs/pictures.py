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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from html import escape
from itertools import chain, cycle, pairwise
from math import fsum
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any, NamedTuple

import grimp
import vl_convert
import yaml

ROOT = Path(__file__).resolve().parents[1]
COMMON, PARAMS = "stages/common", "stages/params.py"

MANY = 3
"""So many files of one folder are shown as the folder."""

COLOURS = ("#4c78a8", "#e45756", "#3f8f3a", "#9b5fa5", "#8c6d31", "#c96f00", "#2a8580")
GAP, PADDING, LINE = 26, 10, 16
CHARACTER = 7.3
"""Pixels of a character of a monospaced font of 12 pixels, rounded up."""
SWEEPS = 4
"""So often the layers are put into order, down and up."""

Edges = Mapping[str, set[str]]
"""For every box of a diagram, the boxes to which its arrows lead."""


Route = tuple[str, ...]
"""An arrow: the box where it starts, the points that it passes, the box where it ends."""


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
        "pipeline.svg": draw({name: _notes(stages[name]) for name in stages}, pipeline(stages)),
        # Every room may import the common one: those arrows would hide the others.
        "rooms.svg": draw(
            dict.fromkeys(rooms, ()),
            {room: others - {COMMON} or others for room, others in rooms.items()},
            gap=46,
        ),
    }


def pipeline(stages: Mapping[str, Any]) -> dict[str, set[str]]:
    """For every stage of `dvc.yaml`, the stages that read its outputs.

    An arrow that follows from others is left out: where b reads of a, and c of both, a leads to b.
    """
    readers = {
        name: {
            reader
            for reader in stages
            for output in _outputs(stages[name])
            for dependency in stages[reader].get("deps", ())
            if reader != name and _overlap(output, dependency)
        }
        for name in stages
    }
    later: dict[str, set[str]] = {}
    for name in TopologicalSorter(readers).static_order():
        later[name] = readers[name].union(*(later[reader] for reader in readers[name]))
    return {
        name: {one for one in direct if not any(one in later[other] for other in direct)}
        for name, direct in readers.items()
    }


def imports() -> dict[str, set[str]]:
    """For every room, the other rooms that its modules import."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
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


def _outputs(stage: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind, ()):
            yield entry if isinstance(entry, str) else next(iter(entry))


def _overlap(one: str, other: str) -> bool:
    paths = PurePosixPath(one), PurePosixPath(other)
    return paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])


def _notes(stage: Mapping[str, Any]) -> list[str]:
    """How often a stage runs, and what it makes."""
    paths = [path.replace("${item.", "<").replace("}", ">") for path in _outputs(stage)]
    folders = [path.rpartition("/")[0] for path in paths]
    many = {folder for folder, count in Counter(folders).items() if count >= MANY}
    shown = (
        f"{folder}/" if folder in many else path
        for path, folder in zip(paths, folders, strict=True)
    )
    keys = stage.get("matrix")
    return [*([f"for each {' and '.join(keys)}"] if keys else ()), *dict.fromkeys(shown)]


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
    layers, routes = _layers(boxes, edges)
    # The sum of floats by `sum` is another one from Python 3.12 on.
    spans = [fsum(width + GAP if name in boxes else GAP for name in layer) for layer in layers]
    total = max(spans) - GAP + 2 * PADDING
    places: dict[str, Place] = {}
    top = float(PADDING)
    for layer, span in zip(layers, spans, strict=True):
        bottom = top + PADDING + LINE * (1 + max(len(boxes.get(name, ())) for name in layer))
        left = (total - span + GAP) / 2
        for name in layer:
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


def _layers(boxes: Iterable[str], edges: Edges) -> tuple[list[list[str]], list[Route]]:
    """The layers from top to bottom, and every arrow with the points that it passes."""
    above = dict.fromkeys(boxes, 0)
    # `static_order` takes an arrow for "needs": where arrows end comes before where they start.
    for name in TopologicalSorter(edges).static_order():
        above[name] = max((above[target] + 1 for target in edges[name]), default=0)
    # What nothing leads to, and leads to nothing, is not below the rest.
    for name in above.keys() - {*chain(*edges.values())}:
        above[name] = above[name] or max(above.values())
    layers: list[list[str]] = [[] for _ in range(max(above.values()) + 1)]
    for name, height in above.items():
        layers[height].append(name)
    routes: list[Route] = []
    neighbours: dict[str, list[str]] = defaultdict(list)
    for name in above:
        for target in sorted(edges[name]):
            passed = range(above[name] - 1, above[target], -1)
            points = {height: f"{name} {target} {height}" for height in passed}
            for height, point in points.items():
                layers[height].append(point)
            routes.append((name, *points.values(), target))
            for one, other in pairwise(routes[-1]):
                neighbours[one].append(other)
                neighbours[other].append(one)
    for layer in [*reversed(layers), *layers] * SWEEPS:
        place = {
            name: index - len(layer) / 2 for layer in layers for index, name in enumerate(layer)
        }
        layer.sort(key=lambda name: fmean(place[one] for one in neighbours[name] or [name]))
    return layers[::-1], routes


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
