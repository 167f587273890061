"""A feature is listed with each of the three chances by which it may have drifted."""

from typing import Any

from dashboard.watching import feature_drift


def feature(name: str, *, drifted: bool = False, **others: float | None) -> dict[str, Any]:
    usual = {"distance": 0.1, "p": 0.5, "relation": 0.1, "relation_p": 0.6, "missing": 0.0}
    return {"name": name, "drifted": drifted, **usual, "level": 0.2, "level_p": 0.7, **others}


def test_what_drifted_comes_first_then_the_rarest_by_any_of_the_three() -> None:
    table = feature_drift.table(
        [
            feature("usual"),
            feature("by its mean", drifted=True, level=1.4, level_p=0.001),
            feature("by its relation", relation_p=0.01),
            feature("by its values", p=0.02),
        ]
    )
    assert table["feature"].to_list() == [
        *("by its mean", "by its relation", "by its values", "usual"),
    ]
    assert table["state"].to_list() == ["! drifted", *["✓ ok"] * 3]
    assert table.row(0, named=True)["mean"] == 1.4
    assert table.row(0, named=True)["mean p"] == 0.001


def test_what_is_not_known_is_null() -> None:
    former = feature("a", distance=None, relation=None)
    del former["level"], former["level_p"]
    (row,) = feature_drift.table([former]).to_dicts()
    assert [row[name] for name in ("distance", "relation", "mean", "mean p")] == [None] * 4
    assert feature_drift.table([]).is_empty()
