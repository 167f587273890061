"""Where the stages of a pipeline are drawn: in layers, with arrows that cross no box."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from itertools import chain, pairwise
from statistics import fmean

SWEEPS = 4
"""How often the layers are put into order, down and up."""

Edges = Mapping[str, set[str]]
"""For every box of a diagram, the boxes to which its arrows lead."""

Route = tuple[str, ...]
"""An arrow: the box where it starts, the points that it passes, the box where it ends."""


def layers(boxes: Iterable[str], edges: Edges) -> tuple[list[list[str]], list[Route]]:
    """The layers from top to bottom, and every arrow with the points that it passes.

    The layout is that of Sugiyama, Tagawa and Toda (1981): boxes in layers, a point in every layer
    that an arrow passes, and each layer in the order of its neighbours.

    Raises:
        CycleError: the arrows form a circle.
    """
    above = dict.fromkeys(boxes, 0)
    # `static_order` takes an arrow for "needs": where arrows end comes before where they start.
    for name in TopologicalSorter(edges).static_order():
        above[name] = max((above[target] + 1 for target in edges[name]), default=0)
    # What nothing leads to, and leads to nothing, is not below the rest.
    for name in above.keys() - {*chain(*edges.values())}:
        above[name] = above[name] or max(above.values())
    rows: list[list[str]] = [[] for _ in range(max(above.values()) + 1)]
    for name, height in above.items():
        rows[height].append(name)
    routes: list[Route] = []
    neighbours: dict[str, list[str]] = defaultdict(list)
    for name in above:
        for target in sorted(edges[name]):
            passed = range(above[name] - 1, above[target], -1)
            points = {height: f"{name} {target} {height}" for height in passed}
            for height, point in points.items():
                rows[height].append(point)
            routes.append((name, *points.values(), target))
            for one, other in pairwise(routes[-1]):
                neighbours[one].append(other)
                neighbours[other].append(one)
    for layer in [*reversed(rows), *rows] * SWEEPS:
        place = {name: index - len(layer) / 2 for layer in rows for index, name in enumerate(layer)}
        layer.sort(key=lambda name: fmean(place[one] for one in neighbours[name] or [name]))
    return rows[::-1], routes
