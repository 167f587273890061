"""Shapley values of any function by sampling (Strumbelj and Kononenko, 2014).

For a model whose arithmetic is not known to be linear or a tree. It replaces the values of a
background row by those of the explained row, one feature after the other in a random order, and
takes what each step changes. The steps sum to the whole change, so the sum is exact; how it is
divided between the features is an estimate.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from stages.forecast.contract import BLOCK, Matrix

DRAWS = 8
"""Background rows for each explained row, with two orders for every two of them."""


def contributions(
    predict: Callable[[Matrix], npt.NDArray[np.float64]],
    x: Matrix,
    background: Matrix,
    columns: list[int],
    seed: int,
) -> tuple[float, npt.NDArray[np.float64]]:
    """The mean prediction of the drawn background rows, and what each feature adds to it.

    Args:
        predict: (rows, features) to (rows,).
        x: rows to explain, (rows, features).
        background: (rows, features), not empty. The drawn rows are the middles of equal shares of
            it in the order of their predictions, so that their mean is near that of all.
        columns: of the features that the prediction depends on.
        seed: of the orders.

    Returns:
        The mean, and the contributions, (rows, features), which sum to the prediction less the
        mean.
    """
    ranked = np.argsort(predict(background), kind="stable")
    drawn = background[ranked[((np.arange(DRAWS) + 0.5) / DRAWS * len(ranked)).astype(np.intp)]]
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.array(columns, np.intp)) for _ in range(DRAWS // 2)]
    # What one order gives a feature too much, its reverse gives too little.
    orders = [each for order in orders for each in (order, order[::-1])]
    added = np.zeros(x.shape)
    step = max(1, BLOCK // (len(columns) + 1))
    for start in range(0, len(x), step):
        rows = x[start : start + step]
        for base, order in zip(drawn, orders, strict=True):
            path = np.repeat(base[np.newaxis, np.newaxis], len(rows), axis=0)
            path = np.repeat(path, len(order) + 1, axis=1)
            for place, column in enumerate(order):
                path[:, place + 1 :, column] = rows[:, [column]]
            values = predict(path.reshape(-1, x.shape[1])).reshape(len(rows), -1)
            added[start : start + step, order] += np.diff(values, axis=1) / DRAWS
    return float(predict(drawn).mean()), added
