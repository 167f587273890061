"""Shapley values of trees against their definition, and against xgboost and lightgbm."""

import inspect
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import NodeProto

from stages.forecast.attribution import tree_shap
from stages.forecast.attribution.tree_shap import Tree, contributions
from stages.forecast.training import models
from stages.forecast.training.fitted import Fitted

Matrix = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


def grown(rng: np.random.Generator, depth: int, features: int) -> Tree:
    """A random tree; a path may compare a feature more than once."""
    nodes: list[tuple[int, float, int, int, float]] = []

    def grow(left: int) -> int:
        node = len(nodes)
        nodes.append((0, 0.0, node, node, float(rng.normal())))
        if left and rng.random() < 0.9:
            feature, threshold = int(rng.integers(features)), float(rng.normal())
            nodes[node] = (feature, threshold, grow(left - 1), grow(left - 1), 0.0)
        return node

    grow(depth)
    feature, threshold, low, high, value = (np.array(column) for column in zip(*nodes, strict=True))
    return Tree(feature, threshold.astype(np.float32), low, high, value)


def expected(
    tree: Tree, row: Matrix, known: frozenset[int], background: Matrix, node: int = 0
) -> float:
    """What a tree predicts if only some features are known (Lundberg et al., 2020, algorithm 1)."""
    low, high = int(tree.low[node]), int(tree.high[node])
    if low == node:
        return float(tree.value[node])
    feature, threshold = int(tree.feature[node]), tree.threshold[node]
    goes_low = background[:, feature] <= threshold
    if feature in known:
        share = float(row[feature] <= threshold)
    else:
        share = float(goes_low.mean()) if len(background) else 0.5
    return share * expected(tree, row, known, background[goes_low], low) + (1 - share) * expected(
        tree, row, known, background[~goes_low], high
    )


def by_definition(tree: Tree, row: Matrix, background: Matrix) -> Values:
    """The mean over all orders in which the features may become known (Shapley, 1953)."""
    count = len(row)
    values = np.zeros(count)
    for feature in range(count):
        others = [each for each in range(count) if each != feature]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                known = frozenset(chosen)
                after = expected(tree, row, known | {feature}, background)
                before = expected(tree, row, known, background)
                values[feature] += weight * (after - before)
    return values


def predicted(tree: Tree, x: Matrix) -> Values:
    every = frozenset(range(x.shape[1]))
    return np.array([expected(tree, row, every, x) for row in x])


def of_ensemble(node: NodeProto, x: Matrix, background: Matrix) -> tuple[float, Values]:
    base, trees = tree_shap.trees(node)
    added = np.zeros(x.shape)
    for tree in trees:
        mean, part = contributions(tree, x, background)
        base += mean
        added += part
    return base, added


def test_a_stump_gives_all_to_its_feature() -> None:
    stump = Tree(
        feature=np.array([1, 0, 0]),
        threshold=np.array([0.5, 0, 0], np.float32),
        low=np.array([1, 1, 2]),
        high=np.array([2, 1, 2]),
        value=np.array([0.0, -1.0, 3.0]),
    )
    background = np.array([[9, 0], [9, 0.5], [9, 0], [9, 1]], np.float32)
    base, added = contributions(stump, np.array([[7, 2], [7, 0.5]], np.float32), background)
    assert base == 0
    assert added.tolist() == [[0, 3], [0, -1]]


def test_a_lone_leaf_is_its_own_mean() -> None:
    leaf = Tree(np.array([0]), np.array([0], np.float32), np.array([0]), np.array([0]), np.ones(1))
    base, added = contributions(leaf, np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32))
    assert base == 1
    assert not added.any()


@pytest.mark.parametrize("seed", range(12))
def test_values_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree = grown(rng, 5, 4)
    # So few that the first trees have nodes to which none comes.
    background = rng.normal(size=(6 + 10 * (seed % 2), 4)).astype(np.float32)
    x = rng.normal(size=(4, 4)).astype(np.float32)
    base, added = contributions(tree, x, background)
    assert base == pytest.approx(expected(tree, x[0], frozenset(), background), abs=1e-12)
    for row, values in zip(x, added, strict=True):
        assert values == pytest.approx(by_definition(tree, row, background), abs=1e-12)


def test_rows_in_blocks_and_a_table_of_patterns_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    tree = grown(rng, 7, 9)
    background = rng.normal(size=(50, 9)).astype(np.float32)
    x = rng.normal(size=(300, 9)).astype(np.float32)
    monkeypatch.setattr(tree_shap, "PATTERNS", 0)
    base, added = contributions(tree, x, background)
    assert base + added.sum(axis=1) == pytest.approx(predicted(tree, x), abs=1e-12)
    monkeypatch.setattr(tree_shap, "PATTERNS", 2**9)
    assert contributions(tree, x, background)[1] == pytest.approx(added, abs=1e-12)
    monkeypatch.setattr(tree_shap, "NUMBERS", 5_000)
    assert contributions(tree, x, background)[1] == pytest.approx(added, abs=1e-12)


@pytest.fixture(scope="module")
def panel() -> tuple[Matrix, Values]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_500, 5)).astype(np.float32)
    # Equal values at a threshold, for the comparisons.
    x[:, 4] = x[:, 4].round(1)
    y = 0.01 * (x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + x[:, 4] + rng.normal(size=1_500))
    return x, y


def node_of(fitted: Fitted) -> NodeProto:
    node: NodeProto
    (node,) = [each for each in fitted.to_onnx().graph.node if tree_shap.is_readable(each)]
    return node


WHOLE: dict[str, Any] = {"n_estimators": 20, "subsample": 1.0, "colsample_bytree": 1.0}


def test_xgboost_gives_the_same(panel: tuple[Matrix, Values]) -> None:
    from xgboost import DMatrix

    x, y = panel
    fitted = models.xgboost(x, y, 0, max_depth=4, **WHOLE)
    booster = fitted.predict.__self__  # type: ignore[attr-defined]
    booster.set_param({"nthread": 1})
    native = booster.predict(DMatrix(x[:200], nthread=1), pred_contribs=True)
    base, added = of_ensemble(node_of(fitted), x[:200], x)
    assert base == pytest.approx(native[0, -1], abs=1e-7)
    assert added == pytest.approx(native[:, :-1], abs=1e-7)
    assert np.abs(added).max() > 0.005


def test_lightgbm_gives_the_same(panel: tuple[Matrix, Values]) -> None:
    x, y = panel
    fitted = models.lightgbm(x, y, 0, num_leaves=15, **WHOLE)
    booster = inspect.getclosurevars(fitted.predict).nonlocals["model"]
    native = booster.predict(x[:200], pred_contrib=True)
    base, added = of_ensemble(node_of(fitted), x[:200], x)
    assert base == pytest.approx(native[0, -1], abs=1e-7)
    assert added == pytest.approx(native[:, :-1], abs=1e-7)
    assert np.abs(added).max() > 0.005


def test_a_forest_and_a_booster_of_parts_of_the_rows_add_up(panel: tuple[Matrix, Values]) -> None:
    x, y = panel
    for fitted in (
        models.random_forest(x, y, 0, n_estimators=10, min_leaf=0.01, n_jobs=1),
        models.xgboost(x, y, 0, n_estimators=20, min_leaf=0.01),
    ):
        base, added = of_ensemble(node_of(fitted), x[:300], x)
        assert base == pytest.approx(fitted.predict(x).mean(), abs=1e-7)
        assert base + added.sum(axis=1) == pytest.approx(fitted.predict(x[:300]), abs=1e-7)


@pytest.mark.parametrize(
    ("name", "value"),
    [("post_transform", b"LOGISTIC"), ("aggregate_function", b"MAX"), ("n_targets", 2)],
)
def test_another_kind_of_ensemble_is_not_readable(
    panel: tuple[Matrix, Values], name: str, value: bytes | int
) -> None:
    from onnx import helper

    node = NodeProto()
    node.CopyFrom(node_of(models.xgboost(*panel, 0, n_estimators=2)))
    others = [each for each in node.attribute if each.name != name]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(name, value)])
    assert not tree_shap.is_readable(node)
