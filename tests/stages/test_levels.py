"""A market series of numbers, from a CSV file to features."""

import json
import sys
from contextlib import chdir
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from stages import clean, features, ingest, latest, params
from stages.common import tables
from stages.common.paths import CLEAN_MARKET, FEATURES_DAILY, LATEST
from stages.indicators.feature_table import features as computed
from tests.panels import feature_params, write_params

AS_OF = date(2012, 2, 29)
OPEN_DAYS = [
    day
    for day in (date(2012, 1, 3) + timedelta(days=n) for n in range(58))
    if day.weekday() < 5 and day not in (date(2012, 1, 16), date(2012, 2, 20))
]
"""Sessions of New York from 2012-01-03 to `AS_OF`."""

VIX = {0: 20.0, 1: 45.0, 3: 15.0, 4: 15.5}
"""By number of the session; there is none of session 2. It goes on at 16."""

MOOD = [0.5, -0.25, 0.0, 1.5, -3.0]
"""A number a day, over and over again."""


def write_csv(folder: Path, name: str, values: dict[date, float], volume: str = "0") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{day},{value},{value},{value},{value},{volume}" for day, value in values.items()]
    text = "\n".join(["date,open,high,low,close,volume", *rows, ""])
    (folder / f"{name}.csv").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two symbols, an index, VIX and a mood, ingested, cleaned and made features of."""
    folder = tmp_path_factory.mktemp("levels")
    inbox = folder / "data" / "inbox"
    for number, name in enumerate(("A", "B", "INDEX")):
        closes = {day: 50.0 + number + at % 3 for at, day in enumerate(OPEN_DAYS)}
        write_csv(inbox, name, closes, "100")
    vix = {at: VIX.get(at, 16.0) for at in range(len(OPEN_DAYS)) if at != 2}
    write_csv(inbox, "VIX", {OPEN_DAYS[at]: value for at, value in vix.items()})
    mood = {day: MOOD[at % len(MOOD)] for at, day in enumerate(OPEN_DAYS)}
    write_csv(inbox / "market", "MOOD", mood | {AS_OF + timedelta(days=1): 99.0}, "")
    (folder / "data" / "actions.csv").write_text("symbol,date,ratio\n", encoding="utf-8")
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        write_params(
            folder,
            data={
                "source": "csv",
                "as_of": str(AS_OF),
                "symbols": ["A", "B"],
                "market": ["INDEX", "VIX", "MOOD"],
                "levels": ["VIX", "MOOD"],
            },
            features=feature_params(market_lags=[1, 2], lags=[1], volatility=[2]).model_dump(),
            dataset={"features": ["return_lag1", "*_level"], "scale": ["vol_2", "VIX_level"]},
        )
        patch.setattr(sys, "argv", ["stage"])
        for stage in (params, ingest, clean, features, latest):
            stage.main()
    return folder


def feature_table(project: Path) -> pl.DataFrame:
    """The features of A by session."""
    return tables.read(project / FEATURES_DAILY).filter(symbol="A")


def test_a_level_comes_from_a_file_with_its_changes_and_no_returns(project: Path) -> None:
    rows = feature_table(project)
    assert rows["date"].to_list() == OPEN_DAYS
    assert [name for name in rows.columns if "INDEX" in name or "VIX" in name] == [
        *("INDEX_return_lag1", "INDEX_return_lag2"),
        *("VIX_level", "VIX_change_lag1", "VIX_change_lag2"),
    ]
    # The session without a value knows that of the day before.
    assert rows["VIX_level"][:6].to_list() == [20, 45, 45, 15, 15.5, 16]
    assert rows["VIX_change_lag1"][:6].to_list() == [None, 25, 25, -30, 0.5, 0.5]
    assert rows["VIX_change_lag2"][:6].to_list() == [None, None, None, 25, -30, 0.5]
    assert rows["MOOD_level"][:6].to_list() == [*MOOD, MOOD[0]]
    assert rows["MOOD_level"].null_count() == 0
    assert 99.0 not in rows["MOOD_level"].to_list()


def test_no_jump_of_a_level_needs_an_explanation(project: Path) -> None:
    report = json.loads((project / "metrics" / "clean.json").read_text(encoding="utf-8"))
    assert report["totals"]["market"]["large_moves"] == {}
    assert report["totals"]["market"]["rejected"] == {}
    bars = tables.read(project / CLEAN_MARKET)
    assert (bars["adj_close"] == bars["close"]).all()


def test_what_the_server_keeps_gives_the_same_newest_row(project: Path) -> None:
    latest_rows = tables.read(project / LATEST)
    contract = list(tables.CLEAN_DAILY)
    market = {
        name: latest_rows.filter(market=True, symbol=name).select(contract)
        for name in ("INDEX", "VIX", "MOOD")
    }
    assert all(bars.height < len(OPEN_DAYS) for bars in market.values())
    settings = params.load(project / "params.yaml").features
    own = latest_rows.filter(market=False, symbol="A").select(contract)
    last = computed(own, market, None, settings, levels=["VIX", "MOOD"]).tail(1)
    assert last.equals(feature_table(project).tail(1))
    assert last["VIX_level"].to_list() == [16]
