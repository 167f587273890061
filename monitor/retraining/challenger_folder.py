"""The challenger of a horizon where the server looks for it: `var/challengers/<horizon>/`."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from monitor.retraining import cached_outputs
from monitor.retraining.contestant import Contestant
from monitor.settings import Settings
from stages.common import tables
from versions.repository.workspace import digest_or_none


@dataclass(frozen=True)
class Placement:
    """What stands in `challenger.json`.

    Attributes:
        commit: where the model is from.
        model_md5, card_md5: of the files beside it.
        version: of the release, if it is one.
        mode: `shadow` or `canary`.
        share: of the requests that a canary answers; 0 in shadow.
        decision_id: the decision that put it there.
    """

    commit: str
    model_md5: str
    card_md5: str
    version: str | None
    mode: str
    share: float
    decision_id: str


def folder(settings: Settings, horizon: str) -> Path:
    """Where the challenger of a horizon is."""
    return settings.var / "challengers" / horizon


def place(
    settings: Settings, contestant: Contestant, horizon: str, placement: Placement
) -> Placement:
    """Put a model there, in the place of any other.

    A reader may find nothing for an instant; what it finds is whole.
    """
    with tables.replacing(folder(settings, horizon)) as partial:
        partial.mkdir(parents=True)
        for name in ("model.onnx", "card.json"):
            shutil.copyfile(cached_outputs.file(contestant, horizon, name), partial / name)
        text = json.dumps(asdict(placement), indent=2) + "\n"
        (partial / "challenger.json").write_text(text, encoding="utf-8")
    return placement


def current(settings: Settings, horizon: str) -> Placement | None:
    """The challenger that is there; None without one, or if it is not whole."""
    try:
        text = (folder(settings, horizon) / "challenger.json").read_text(encoding="utf-8")
        placement = Placement(**json.loads(text))
    except (OSError, ValueError, TypeError):
        return None
    md5 = digest_or_none(folder(settings, horizon) / "model.onnx")
    return placement if md5 == placement.model_md5 else None


def remove(settings: Settings, horizon: str, decision_id: str) -> None:
    """Take a decision's challenger away; that of another stays."""
    placement = current(settings, horizon)
    if placement is None or placement.decision_id == decision_id:
        shutil.rmtree(folder(settings, horizon), ignore_errors=True)
