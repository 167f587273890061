"""Values of params by dotted key, and as text."""

from versions.values import compact, flat


def test_nested_values_by_dotted_key() -> None:
    nested = {"a.b": {"c": 1, "d": {"e": [1, {"f": 2}]}}, "g": {}, "h": None}
    assert flat(nested) == {"a.b.c": 1, "a.b.d.e": [1, {"f": 2}], "g": {}, "h": None}


def test_text_is_what_dvc_takes() -> None:
    values = ([5, 20], "per_symbol", True, 1e-06)
    assert list(map(compact, values)) == ["[5,20]", '"per_symbol"', "true", "1e-06"]
