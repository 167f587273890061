"""Values of `params.yaml` by dotted key, and as text."""

import json
from collections.abc import Mapping
from typing import Any


def flat(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted key; a list or an empty mapping is one value."""
    values: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            values |= flat(value, f"{above}{key}.")
        else:
            values[f"{above}{key}"] = value
    return values


def compact(value: object) -> str:
    """JSON without blanks, as `dvc exp run -S` takes it and tables show it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
