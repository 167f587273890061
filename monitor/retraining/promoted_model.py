"""The promoted model, and the evidence that it is worse than the former champion.

The former champion goes on in shadow after a promotion, so that both forecast the same live rows.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
from sqlalchemy import Engine

from monitor import evidence as evidences
from monitor.evidence import Evidence
from monitor.retraining import cached_outputs, contestant, paired_rows, paired_scores
from monitor.retraining.decisions import Decision
from monitor.retraining.paired_rows import LiveRows, Side
from stages.common import tables

_BACK = "rolled back"


def last_promotion(decisions: Sequence[Decision]) -> Decision | None:
    """The newest promotion, unless it was rolled back."""
    undone = {each.document.get("promotion") for each in decisions if each.outcome == _BACK}
    standing = [each for each in decisions if each.outcome == "promoted" and each.id not in undone]
    newest = max(standing, key=lambda each: each.decided_at, default=None)
    if newest is None:
        return None
    # Only one step back: an earlier champion has no shadow.
    backs = [each.decided_at for each in decisions if each.outcome == _BACK]
    return None if any(back > newest.decided_at for back in backs) else newest


def live_rows(engine: Engine, promotion: Decision, today: date) -> dict[str, pl.DataFrame]:
    """Live rows of the promoted model and the former champion's shadow, by horizon."""
    models = promotion.document["models"]
    rows = {}
    for name, new in models["challenger"].items():
        former = models["champion"][name]
        if new["model.onnx"] == former["model.onnx"]:
            continue
        after = max(date.fromisoformat(each["as_of"]) for each in (new, former))
        md5s = (new["model.onnx"], former["model.onnx"])
        rows[name] = LiveRows(name, md5s, after, today).read(engine)
    return rows


def worse(root: Path, promotion: Decision, horizon: str, rows: pl.DataFrame) -> Evidence:
    """Evidence that the promoted model loses more than the former champion.

    Args:
        root: of the project.
        promotion: the decision.
        horizon: which.
        rows: as `live_rows` gives them.
    """
    empty = tables.empty(paired_rows.CONTRACT)
    new, former = (
        Side(empty, cached_outputs.card(contestant.at(str(commit), root), horizon))
        for commit in (promotion.challenger, promotion.champion)
    )
    scored = paired_rows.live(rows, new, former)
    sessions = promotion.document["models"]["challenger"][horizon]["sessions"]
    return evidences.evidence(paired_scores.gains(scored), sessions)
