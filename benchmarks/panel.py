"""Synthetic panels: plausible daily bars of many symbols, the same on every machine.

A symbol's bars depend on its number alone, so a panel of any size is made symbol by symbol in the
memory of one.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from scipy.signal import lfilter

from stages.common import tables

ROOT = Path(__file__).parents[1]
SEED = 20121231
CALENDAR = "XNYS"
LAST = date(2018, 12, 31)
INDEX = "INDEX"
SESSIONS = 5_000
YEAR = 252
QUARTER = 63


@dataclass(frozen=True)
class Panel:
    """So many symbols with so many sessions each, the newest on `LAST`."""

    symbols: int
    sessions: int = SESSIONS

    @classmethod
    def of(cls, bars: int) -> "Panel":
        """The panel of about so many bars, `SESSIONS` to a symbol."""
        return cls(max(1, bars // SESSIONS))

    @property
    def bars(self) -> int:
        """Rows of the whole panel."""
        return self.symbols * self.sessions

    def dates(self) -> pl.Series:
        """The sessions of the exchange, so that clean misses and rejects none."""
        from exchange_calendars import get_calendar

        first = date(LAST.year - 2 - self.sessions // (YEAR - 2), 1, 1)
        sessions = get_calendar(CALENDAR, start=str(first), end=str(LAST)).sessions
        return pl.Series("date", sessions.to_numpy()).cast(pl.Date).tail(self.sessions)

    def series(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """The bars of each symbol, in the columns of `tables.RAW_DAILY`."""
        dates = self.dates()
        for number in range(self.symbols):
            name = f"S{number:05}"
            yield name, _bars(name, number, dates)

    def market(self) -> pl.DataFrame:
        """The bars of the market series `INDEX`."""
        return _bars(INDEX, self.symbols, self.dates())


def _bars(symbol: str, number: int, dates: pl.Series) -> pl.DataFrame:
    """Log prices that revert slowly to their mean, a dividend each quarter."""
    count = len(dates)
    random = np.random.default_rng([SEED, number])
    move, overnight, up, down, trade = random.standard_normal((5, count))
    volatility = random.uniform(0.010, 0.025)
    centre = random.uniform(20, 200)
    close = centre * np.exp(lfilter([1.0], [1.0, -0.999], volatility * move))
    opened = np.append(centre, close[:-1]) * np.exp(0.3 * volatility * overnight)
    high = np.maximum(opened, close) * np.exp(0.5 * volatility * np.abs(up))
    low = np.minimum(opened, close) * np.exp(-0.5 * volatility * np.abs(down))
    shares = 1.005 ** (np.arange(count) // QUARTER)
    cents = {
        name: np.round(values, 2)
        for name, values in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    return pl.DataFrame(
        {
            "symbol": pl.repeat(symbol, count, eager=True),
            "date": dates,
            **cents,
            "adj_close": cents["close"] * shares,
            "volume": np.round(np.exp(13 + 0.4 * trade)),
        },
        schema=dict(tables.RAW_DAILY),
    )


def project(
    folder: Path, panel: Panel, sections: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Make a folder in which the stages can run on a panel: params, actions, suites, inbox.

    Args:
        folder: is made.
        panel: written to data/inbox, one Parquet file per symbol.
        sections: what to change in params.yaml; `models` and `horizons` are replaced whole.
    """
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {
        "source": "parquet",
        "path": "data/inbox",
        "as_of": str(LAST),
        "calendar": CALENDAR,
        "extra_sessions": [],
        "symbols": [],
        "market": [INDEX],
    }
    params["data"]["sources"]["parquet"]["columns"]["adj_close"] = "adj_close"
    for name, section in (sections or {}).items():
        whole = name in ("models", "horizons")
        params[name] = dict(section) if whole else params[name] | section
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    shutil.copytree(
        ROOT / "great_expectations",
        folder / "great_expectations",
        ignore=shutil.ignore_patterns("uncommitted"),
    )
    inbox = folder / "data" / "inbox"
    for kind in ("daily", "market"):
        (inbox / kind).mkdir(parents=True)
    shutil.copy(ROOT / "data" / "actions.csv", folder / "data" / "actions.csv")
    for name, bars in panel.series():
        bars.drop("symbol").write_parquet(inbox / "daily" / f"{name}.parquet")
    panel.market().drop("symbol").write_parquet(inbox / "market" / f"{INDEX}.parquet")
