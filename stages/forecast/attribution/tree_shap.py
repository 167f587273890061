"""Shapley values of trees (TreeSHAP; Lundberg et al., 2020), from the ONNX node of an ensemble.

One function serves every tree model, whichever library trained it. Where that library counts the
same rows, it gives the same values (`pred_contribs` of xgboost, `pred_contrib` of lightgbm).

A row reaches a leaf if it meets a condition on each feature of the leaf's path. Where a feature
counts as unknown, the share of the background that meets the condition takes its place. So what a
leaf adds to the prediction is a product over features. The Shapley value of a product is the
integral of a polynomial (Owen, Multilinear Extensions of Games, 1972), which Gauss-Legendre
quadrature gives exactly.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from stages.forecast.contract import Matrix

Nodes = npt.NDArray[np.intp]
Values = npt.NDArray[np.float64]

NUMBERS = 2_000_000
"""Numbers that are worked on at a time: one for each row and condition of a leaf."""

PATTERNS = 256
"""Conditions that are met or not are looked up in a table of so many patterns at most."""

_LEAF, _AT_MOST, _BELOW = b"LEAF", b"BRANCH_LEQ", b"BRANCH_LT"


@dataclass(frozen=True)
class Tree:
    """A regression tree; node 0 is its root.

    Attributes:
        feature: that a node compares, (nodes,).
        threshold: a row goes to `low` where its value is at most this, (nodes,).
        low, high: the next node, (nodes,); a leaf names itself.
        value: of a leaf, (nodes,).
    """

    feature: Nodes
    threshold: Matrix
    low: Nodes
    high: Nodes
    value: Values


@dataclass(frozen=True)
class Leaves:
    """The leaves of a tree, with a condition on each feature of their paths.

    The last conditions of a leaf with a shorter path are met by every row.

    Attributes:
        value: (leaves,).
        feature: (leaves, conditions).
        above, at_most: the values that meet a condition, (leaves, conditions).
        share: of the background, where the path splits by the feature, (leaves, conditions).
    """

    value: Values
    feature: Nodes
    above: Matrix
    at_most: Matrix
    share: Values

    def met(self, x: Matrix) -> npt.NDArray[np.bool_]:
        """Which conditions the rows meet, (rows, leaves, conditions)."""
        values = x[:, self.feature]
        return (values > self.above) & (values <= self.at_most)


def is_readable(node: NodeProto) -> bool:
    """Whether a node is what `trees` can read: comparisons with thresholds, and a plain sum."""
    if node.op_type != "TreeEnsembleRegressor":
        return False
    attributes = _attributes(node)
    return (
        set(attributes["nodes_modes"]) <= {_LEAF, _AT_MOST, _BELOW}
        and attributes.get("n_targets", 1) == 1
        and attributes.get("aggregate_function", b"SUM") == b"SUM"
        and attributes.get("post_transform", b"NONE") == b"NONE"
    )


def trees(node: NodeProto) -> tuple[float, list[Tree]]:
    """The constant and the trees of an ensemble, whose sum is its prediction."""
    attributes = _attributes(node)
    value = dict(
        zip(
            zip(attributes["target_treeids"], attributes["target_nodeids"], strict=True),
            attributes["target_weights"],
            strict=True,
        )
    )
    places: dict[int, dict[int, int]] = {}
    for place, key in enumerate(
        zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True)
    ):
        places.setdefault(key[0], {})[key[1]] = place
    modes = np.array(attributes["nodes_modes"])
    threshold = np.array(attributes["nodes_values"], np.float32)
    # Below a float32 is at most the one before it.
    threshold[modes == _BELOW] = np.nextafter(threshold[modes == _BELOW], np.float32(-np.inf))
    ensemble = []
    for tree, own in places.items():
        number = {node: index for index, node in enumerate(own)}
        rows = list(own.values())
        low, high = (
            np.array(
                [
                    index if modes[row] == _LEAF else number[attributes[side][row]]
                    for index, row in enumerate(rows)
                ],
                np.intp,
            )
            for side in ("nodes_truenodeids", "nodes_falsenodeids")
        )
        ensemble.append(
            Tree(
                feature=np.array(attributes["nodes_featureids"], np.intp)[rows],
                threshold=threshold[rows],
                low=low,
                high=high,
                value=np.array([value.get((tree, node), 0.0) for node in own]),
            )
        )
    return sum(attributes.get("base_values", ())), ensemble


def contributions(tree: Tree, x: Matrix, background: Matrix) -> tuple[float, Values]:
    """The mean prediction of a tree, and what each feature of a row adds to it.

    Args:
        tree: to explain.
        x: finite, (rows, features).
        background: the rows to take the mean of; finite, (rows, features), not empty.

    Returns:
        The mean, and the contributions, (rows, features), which sum to the prediction less the
        mean.
    """
    leaves = _leaves(tree, _counts(tree, background))
    base = float((leaves.value * leaves.share.prod(axis=1)).sum())
    added = np.zeros(x.shape)
    conditions = leaves.feature.shape[1]
    if not conditions:
        return base, added
    bits = np.arange(conditions)
    table = None
    if 2**conditions <= min(PATTERNS, len(x)):
        patterns = np.arange(2**conditions)[:, np.newaxis, np.newaxis] >> bits & 1
        table = _shapley(leaves, patterns == 1)
    # The conditions on one feature side by side, for the sums.
    order = np.argsort(leaves.feature, axis=None, kind="stable")
    features, starts = np.unique(leaves.feature.ravel()[order], return_index=True)
    step = max(1, NUMBERS // leaves.feature.size)
    for start in range(0, len(x), step):
        met = leaves.met(x[start : start + step])
        if table is None:
            values = _shapley(leaves, met)
        else:
            values = table[met @ (1 << bits), np.arange(len(leaves.value))]
        in_order = values.reshape(len(met), -1)[:, order]
        added[start : start + step, features] = np.add.reduceat(in_order, starts, axis=1)
    return base, added


def _counts(tree: Tree, rows: Matrix) -> Values:
    """How many rows come to each node, (nodes,)."""
    node = np.zeros(len(rows), np.intp)
    counts = np.zeros(len(tree.value))
    while True:
        reached = np.bincount(node, minlength=len(counts))
        counts = np.maximum(counts, reached)
        low = rows[np.arange(len(rows)), tree.feature[node]] <= tree.threshold[node]
        following = np.where(low, tree.low[node], tree.high[node])
        if (following == node).all():
            return counts
        node = following


def _leaves(tree: Tree, counts: Values) -> Leaves:
    """The leaves of a tree, of whose nodes `counts` background rows reach each."""
    paths = list(_paths(tree, counts))
    width = max(len(conditions) for _, conditions in paths)
    anything = (0, -np.inf, np.inf, 1.0)
    slots = [
        [(feature, *condition) for feature, condition in conditions.items()]
        + [anything] * (width - len(conditions))
        for _, conditions in paths
    ]
    columns = np.array(slots, dtype=np.float64).reshape(len(paths), width, len(anything))
    return Leaves(
        value=tree.value[[leaf for leaf, _ in paths]],
        feature=columns[..., 0].astype(np.intp),
        above=columns[..., 1].astype(np.float32),
        at_most=columns[..., 2].astype(np.float32),
        share=columns[..., 3],
    )


_Conditions = dict[int, tuple[float, float, float]]


def _paths(tree: Tree, counts: Values) -> Iterator[tuple[int, _Conditions]]:
    """Each leaf, with what leads to it: feature to (above, at most, share of the background)."""
    waiting: list[tuple[int, _Conditions]] = [(0, {})]
    while waiting:
        node, conditions = waiting.pop()
        low, high = int(tree.low[node]), int(tree.high[node])
        if low == node:
            yield node, conditions
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        above, at_most, share = conditions.get(feature, (-np.inf, np.inf, 1.0))
        # No row of the background decides where none comes.
        part = counts[low] / counts[node] if counts[node] else 0.5
        waiting += [
            (high, {**conditions, feature: (max(above, threshold), at_most, share * (1 - part))}),
            (low, {**conditions, feature: (above, min(at_most, threshold), share * part)}),
        ]


def _shapley(leaves: Leaves, met: npt.NDArray[np.bool_]) -> Values:
    """The Shapley value of each condition for what its leaf adds, (rows, leaves, conditions).

    Args:
        leaves: of a tree.
        met: which conditions are met, (rows, leaves or 1, conditions).
    """
    gain = met - leaves.share
    total = np.zeros(gain.shape)
    for point, weight in _quadrature((leaves.share.shape[1] + 1) // 2):
        factor = leaves.share + point * gain
        # A factor is 0 only where the gain is 0 too.
        others = factor.prod(axis=-1, keepdims=True) / np.where(factor == 0, 1.0, factor)
        total += weight * others
    return total * gain * leaves.value[:, np.newaxis]


@cache
def _quadrature(count: int) -> list[tuple[float, float]]:
    """Points and weights that integrate a polynomial of degree 2 count - 1 from 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return list(zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
