"""The sample: real bars from two installed packages."""

import csv
import gzip
import subprocess
import sys
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from stages.common import tables
from stages.common.errors import SourceError
from stages.sources import Request, sample
from tests.messages import facts


def request(symbols: tuple[str, ...], market: tuple[str, ...] = ()) -> Request:
    return Request(symbols, market, date(2030, 1, 1), Path("unused"))


def shipped(package: str, file: str) -> list[dict[str, str]]:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    with gzip.open(Path(spec.origin).parent / file, "rt") as lines:
        return list(csv.DictReader(lines))


def test_every_row_of_the_packages_comes_in() -> None:
    series = {(s.kind, s.symbol): s.bars for s in sample.fetch(request((), ("sp500", "nasdaq")))}
    stocks = shipped("bokeh_sampledata", "_data/stocks.csv.gz")
    expected: dict[tuple[str, str], list[tuple[object, ...]]] = {}
    names = ("Open", "High", "Low", "Close", "Adj Close", "Volume")
    for row in stocks:
        key = ("daily", row["Ticker"])
        values = (date.fromisoformat(row["Date"]), *(float(row[name]) for name in names))
        expected.setdefault(key, []).append((row["Ticker"], *values))
    for name in ("sp500", "nasdaq"):
        for row in shipped("arch", f"data/{name}/{name}.csv.gz"):
            day = datetime.strptime(row["Date"], "%m/%d/%Y").date()  # noqa: DTZ007  # a day
            values = (name, day, *(float(row[column]) for column in names))
            expected.setdefault(("market", name), []).append(values)
    assert series.keys() == expected.keys()
    for key, bars in series.items():
        assert bars.schema == dict(tables.RAW_DAILY)
        assert bars.rows() == expected[key]


def test_only_what_is_asked_for_comes() -> None:
    assert [(s.kind, s.symbol) for s in sample.fetch(request(("MSFT", "AAPL"), ("sp500",)))] == [
        ("daily", "AAPL"),
        ("daily", "MSFT"),
        ("market", "sp500"),
    ]


@pytest.mark.parametrize(
    ("symbols", "market", "message"),
    [
        (
            ("AAPL", "MSTF"),
            (),
            "sample: no MSTF (data.symbols); did you mean MSFT? it has AAPL, FB, GOOG, IBM, MSFT",
        ),
        ((), ("vix",), "sample: no vix (data.market); it has nasdaq, sp500"),
    ],
)
def test_a_name_that_is_not_there(
    symbols: tuple[str, ...], market: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        list(sample.fetch(request(symbols, market)))
    assert facts(str(caught.value)) == facts(message)


def test_the_packages_themselves_are_not_imported(repo_root: Path) -> None:
    code = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from stages.sources import Request, sample\n"
        "list(sample.fetch(Request((), ('sp500',), date(2030, 1, 1), Path())))\n"
        "heavy = {'bokeh_sampledata', 'arch', 'pandas', 'yfinance'} & {*sys.modules}\n"
        "sys.exit(' '.join(heavy) or None)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=repo_root, capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
