"""The age of the features and of the models, in sessions of the exchange."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from monitor.health.verdicts import Check, unknown
from stages.common import tables
from stages.common.errors import InputError, few
from stages.common.paths import LATEST, MODELS, SESSIONS

FEATURES = "features_age"
MODEL = "model_age"


@dataclass(frozen=True)
class Bars:
    """The newest bars, and when the exchange opens.

    Attributes:
        newest: the session of the newest bar of each symbol.
        sessions: of the exchange, ascending, from the oldest bar that is kept.
    """

    newest: Mapping[str, date]
    sessions: Sequence[date]

    def after(self, day: date, until: date) -> int:
        """Sessions after a day, `until` included."""
        return bisect_right(self.sessions, until) - bisect_right(self.sessions, day)


def look(root: Path) -> Bars | str:
    """The content of `models/latest.parquet` and `models/sessions.json`, or why there is none."""
    try:
        rows = tables.read(root / LATEST, ["symbol", "date", "market"])
        content = json.loads((root / SESSIONS).read_text(encoding="utf-8"))
        sessions = [date.fromisoformat(day) for day in content["sessions"]]
    except InputError as error:
        return str(error)
    except (OSError, ValueError, KeyError, TypeError):
        return f"{SESSIONS}: missing or not what the stage latest writes; run `dvc repro`"
    if not sessions:
        return f"{SESSIONS}: names no session; run `dvc repro`"
    newest = rows.filter(~pl.col("market")).group_by("symbol").agg(pl.col("date").max())
    if not newest.height:
        return f"{LATEST}: has no bar; run `dvc repro`"
    return Bars(dict(sorted(newest.iter_rows())), sessions)


def check_features(bars: Bars | str, today: date, most: int) -> Check:
    """How many closed sessions of the exchange the newest bars lack.

    A session counts from the next day on, so that its bars have hours to arrive.

    Args:
        bars: what was read, or why it was not.
        today: the day of the clock, in UTC.
        most: sessions that a symbol may be behind.
    """
    if isinstance(bars, str):
        return unknown(FEATURES, bars)
    newest = max(bars.newest.values())
    if newest > today:
        return Check(
            FEATURES,
            "warning",
            None,
            most,
            f"the newest bar is of {newest}, and the clock says {today}",
            "set the clock of this machine, or MONITOR_NOW",
            judged=False,
        )
    yesterday = today - timedelta(days=1)
    # A symbol that has ended gets no more bars.
    lacking = {
        symbol: bars.after(day, yesterday)
        for symbol, day in bars.newest.items()
        if (newest - day).days <= tables.ENDED_DAYS
    }
    behind = max(lacking.values())
    more = " or more: the sessions that are known end" if yesterday > bars.sessions[-1] else ""
    late = [symbol for symbol, sessions in lacking.items() if sessions > most]
    whose = "" if not late or len(late) == len(lacking) else f" ({few(late)})"
    sentence = f"the newest bar is of {newest}; {behind} sessions behind the exchange{more}{whose}"
    if behind <= most:
        return Check(FEATURES, "ok", behind, most, sentence)
    return Check(
        FEATURES,
        "warning",
        behind,
        most,
        sentence,
        "bring the new bars in: `make refresh AS_OF=<day>`; if there are none, see the source",
    )


def read_card(root: Path, horizon: str) -> Mapping[str, Any] | str:
    """The card of a model; or why it cannot be read."""
    path = MODELS / horizon / "card.json"
    try:
        card = json.loads((root / path).read_text(encoding="utf-8"))
        return {
            "sessions": int(card["sessions"]),
            "last": date.fromisoformat(str(card["training"]["last"])),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path}: missing or not what the stage evaluate writes; run `dvc repro`"


def check_model(horizon: str, card: Mapping[str, Any] | str, bars: Bars | str, most: int) -> Check:
    """How many sessions the newest training row is behind the newest bar, beyond the horizon.

    Args:
        horizon: of the model.
        card: its length in `sessions`, and `last`, the day of its newest training row.
        bars: what was read, or why it was not.
        most: sessions that it may be behind.
    """
    tags = {"horizon": horizon}
    if isinstance(card, str) or isinstance(bars, str):
        return unknown(MODEL, card if isinstance(card, str) else str(bars), tags)
    newest = max(bars.newest.values())
    behind = max(0, bars.after(card["last"], newest) - card["sessions"])
    # Sessions before the oldest bar that is kept are not known here.
    more = " or more" if card["last"] < bars.sessions[0] else ""
    sentence = (
        f"newest training row {card['last']}, newest bar {newest}: {behind} sessions{more} beyond "
        f"its horizon of {card['sessions']}"
    )
    if behind <= most:
        return Check(MODEL, "ok", behind, most, sentence, tags=tags)
    remedy = "train it anew: `python -m monitor retrain --reason manual`"
    return Check(MODEL, "warning", behind, most, sentence, remedy, tags)
