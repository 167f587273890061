"""Results of a commit against those at hand, from hand-made ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.common.errors import InputError
from tests.histories import Repository
from versions.results import changes
from versions.results.changes import Pair, Results


def symbol(name: str, read: int, kind: str = "daily", **rejected: int) -> dict[str, Any]:
    remaining = read - sum(rejected.values())
    return {"kind": kind, "symbol": name, "read": read, "kept": remaining, "rejected": rejected}


def results(*symbols: Mapping[str, Any], newest: str = "2020-01-02") -> Results:
    totals: dict[str, dict[str, Any]] = {}
    for row in symbols:
        counts = totals.setdefault(row["kind"], {"rejected": {}})["rejected"]
        for reason, count in row["rejected"].items():
            counts[reason] = counts.get(reason, 0) + count
    days = {row["symbol"]: newest for row in symbols}
    return Results({"symbols": list(symbols), "totals": totals}, days, {}, {})


def test_rows_by_symbol_with_those_that_came_and_went() -> None:
    before = results(symbol("A", 10), symbol("GONE", 5), symbol("I", 7, "market"))
    after = results(
        *(symbol("A", 12, no_trade=1), symbol("NEW", 3), symbol("I", 8, "market")),
        newest="2020-01-06",
    )
    rows = {symbol: row for (_, symbol), row in changes.rows(before, after).items()}
    assert list(rows) == ["A", "NEW", "I", "GONE"]
    assert rows["A"] == {
        "read": (10, 12),
        "kept": (10, 11),
        "rejected": (0, 1),
        "newest": ("2020-01-02", "2020-01-06"),
    }
    assert rows["NEW"]["read"] == (None, 3)
    assert rows["NEW"]["rejected"] == (None, 0)
    assert rows["GONE"]["kept"] == (5, None)
    assert rows["I"]["newest"] == (None, None)


def test_reasons_are_counted_over_all_kinds() -> None:
    before = results(symbol("A", 9, no_trade=2, stale=1))
    after = results(symbol("A", 9, no_trade=1), symbol("I", 9, "market", no_trade=3))
    assert changes.reasons(before, after) == {"no_trade": Pair(2, 4), "stale": Pair(1, 0)}


def write(folder: Path, mae: float, quality: float) -> None:
    failed = [{"table": "clean/daily", "type": "expect_x", "kwargs": {"column": "low"}}]
    files: dict[str, Any] = {
        "clean.json": {"symbols": [symbol("A", 9)], "totals": {"daily": {"rejected": {}}}},
        "short.json": {"mae": mae, "rmse": None, "f1": 0.5},
        "validation.json": {
            "quality": quality,
            "tables": {"raw": {"quality": quality, "failed": failed if quality < 100 else []}},
        },
        "validation_datasets/short.json": {"quality": 100.0, "failed": []},
    }
    for name, content in files.items():
        path = folder / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (folder / "metrics" / "short").mkdir(exist_ok=True)
    (folder / "metrics" / "short" / "forecasts.csv").write_text(
        "symbol,date,close\nA,2020-01-02,1\n", encoding="utf-8"
    )


def test_results_are_read_from_the_commit_and_from_what_is_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    repository.commit("stages: {}\n", "No results yet")
    with pytest.raises(InputError, match=r"no such file; run `dvc repro` first$"):
        changes.present(["short"])
    write(tmp_path, 0.5, 100.0)
    after = changes.present(["short"])
    nothing = changes.committed(["short"])
    assert changes.scores(nothing, after)["short", "mae"] == (None, 0.5)
    assert changes.rows(nothing, after)["daily", "A"]["read"] == (None, 9)

    repository.commit(None)
    write(tmp_path, 0.25, 99.5)
    before, after = changes.committed(["short"]), changes.present(["short"])
    assert changes.scores(before, after) == {
        ("short", name): pair
        for name, pair in {
            "mae": Pair(0.5, 0.25),
            **dict.fromkeys(changes.SCORES[1:], Pair(None, None)),
        }.items()
    }
    assert list(changes.quality(before, after)) == [
        ("raw", Pair(100.0, 99.5), ("expect_x of low",)),
        ("dataset short", Pair(100.0, 100.0), ()),
    ]
    assert after.newest == {"A": "2020-01-02"}
