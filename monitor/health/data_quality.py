"""The quality score of the data, as the stages of validation wrote it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monitor.health.verdicts import Check, unknown
from stages.common.errors import few
from stages.common.paths import METRICS

NAME = "data_quality"


def look(root: Path) -> Mapping[str, Mapping[str, Any]] | str:
    """The scores of each validated table and dataset; or why they cannot be read."""
    path = METRICS / "validation.json"
    try:
        whole = json.loads((root / path).read_text(encoding="utf-8"))["tables"]
        scores = {name: _score(table) for name, table in whole.items()}
        for file in sorted((root / METRICS / "validation_datasets").glob("*.json")):
            path = METRICS / "validation_datasets" / file.name
            scores[f"dataset {file.stem}"] = _score(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{path}: missing or not what the stage validate writes; run `dvc repro`"
    return scores or f"{path}: names no table; run `dvc repro`"


def _score(table: Mapping[str, Any]) -> Mapping[str, Any]:
    quality = float(table["quality"])
    # What is not a number is below every bound.
    return {**table, "quality": quality if math.isfinite(quality) else 0.0}


def check(scores: Mapping[str, Mapping[str, Any]] | str, least: float) -> Check:
    """The lowest score of all tables.

    Args:
        scores: `quality` in percent and the `failed` expectations, by table; or why there are none.
        least: percent below which the data is not to be trusted.
    """
    if isinstance(scores, str):
        return unknown(NAME, scores)
    name = min(scores, key=lambda each: scores[each]["quality"])
    quality = float(scores[name]["quality"])
    if quality == 100:  # noqa: PLR2004  # percent
        return Check(NAME, "ok", quality, least, f"all of {len(scores)} tables score 100 %")
    failed = few(map(_named, scores[name].get("failed") or ()))
    sentence = f"{name} scores {quality:g} %" + (f": {failed} failed" if failed else "")
    if quality >= least:
        return Check(NAME, "ok", quality, least, sentence)
    remedy = "see the newest bars of the source; docs/validation.md explains each expectation"
    return Check(NAME, "critical", quality, least, sentence, remedy)


def _named(failed: Mapping[str, Any]) -> str:
    return " ".join(str(failed[key]) for key in ("table", "type") if key in failed)
