"""Yahoo: the arithmetic by hand, and yfinance itself against an exchange on loopback."""

import json
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from yfinance.data import SingletonMeta

from stages.common import tables
from stages.common.errors import SourceError
from stages.ingest import ingest, remarks
from stages.sources import Request, Series, SourceParams, yahoo
from tests.messages import facts

pytestmark = pytest.mark.usefixtures("elsewhere")

INDIA = ZoneInfo("Asia/Kolkata")
LIMIT = 730 * 24 * 60 * 60


def history(rows: list[tuple[date, float, float, float, float]]) -> pl.DataFrame:
    """What Yahoo gives: day, close (and every price), volume, split, dividend."""
    return pl.DataFrame(
        {
            "date": [row[0] for row in rows],
            "timestamp": [datetime(*row[0].timetuple()[:3], 4, tzinfo=UTC) for row in rows],
            **{price: [row[1] for row in rows] for price in tables.PRICES},
            "volume": [row[2] for row in rows],
            "ratio": [row[3] for row in rows],
            "dividend": [row[4] for row in rows],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
        strict=False,
    )


def test_splits_are_undone_by_hand_worked_numbers() -> None:
    # 1:1 bonus on the 4th, 3-for-2 split on the 6th. A share of the 2nd became 3 of today's, so
    # Yahoo divides the 2nd and 3rd by 3, the 4th and 5th by 1.5. Traded: 900, 930, 480, 474, 330.
    first = date(2024, 1, 2)
    bars, actions = yahoo.traded(
        history(
            [
                (first, 300.0, 3000.0, 0.0, 0.0),
                (date(2024, 1, 3), 310.0, 3300.0, 0.0, 4.0),
                (date(2024, 1, 4), 320.0, 6000.0, 2.0, 0.0),
                (date(2024, 1, 5), 316.0, 4500.0, 0.0, 0.0),
                (date(2024, 1, 6), 330.0, 5000.0, 1.5, 2.0),
            ]
        ),
        "TCS.NS",
    )
    for price in tables.PRICES:
        assert bars[price].to_list() == [900.0, 930.0, 480.0, 474.0, 330.0]
    assert bars["volume"].to_list() == [1000.0, 1100.0, 4000.0, 3000.0, 5000.0]
    assert bars["adj_close"].to_list() == [None] * 5
    # The dividend of the 3rd was 12 per share of that day; that of the 6th is in new shares.
    assert actions.rows() == [
        ("TCS.NS", date(2024, 1, 3), 1.0, 12.0),
        ("TCS.NS", date(2024, 1, 4), 2.0, 0.0),
        ("TCS.NS", date(2024, 1, 6), 1.5, 2.0),
    ]
    assert actions.schema == dict(tables.ACTIONS)


def test_a_reverse_split_is_undone() -> None:
    rows = [(date(2024, 1, 2), 50.0, 100.0, 0.0, 0.0), (date(2024, 1, 3), 51.0, 90.0, 0.1, 0.0)]
    bars, _ = yahoo.traded(history(rows), "A")
    assert bars["close"].to_list() == [5.0, 51.0]
    assert bars["volume"].to_list() == [1000.0, 90.0]


def test_a_row_that_only_tells_of_an_action_is_no_bar() -> None:
    rows = [
        (date(2024, 1, 2), 10.0, 1.0, 0.0, 0.0),
        (date(2024, 1, 3), float("nan"), 0.0, 0.0, 1.0),
    ]
    bars, actions = yahoo.traded(history(rows), "A")
    assert bars["date"].to_list() == [date(2024, 1, 2)]
    assert actions.rows() == [("A", date(2024, 1, 3), 1.0, 1.0)]


def through_yahoo(traded: list[float], ratios: list[float]) -> list[float]:
    """Adjust by the splits that follow, as 32-bit floats, and back."""
    answer = []
    for index, price in enumerate(traded):
        later = float(np.prod([ratio for ratio in ratios[index + 1 :] if ratio] or [1.0]))
        day = date(2024, 1, 1) + timedelta(days=index)
        answer.append((day, float(np.float32(price / later)), 1.0, float(ratios[index]), 0.0))
    bars, _ = yahoo.traded(history(answer), "A")
    return bars["close"].to_list()


RATIOS = st.sampled_from([0, 0, 0, 2, 3, 1.5, 10, 0.1, 1.25, 7])


@given(st.lists(st.tuples(st.integers(1, 999_999), RATIOS), min_size=1, max_size=12))
def test_what_was_traded_comes_back_through_yahoos_floats(rows: list[tuple[int, float]]) -> None:
    traded = [cents / 100 for cents, _ in rows]
    assert through_yahoo(traded, [ratio for _, ratio in rows]) == traded


@given(st.lists(st.tuples(st.integers(1_000_000, 9_999_999), RATIOS), min_size=1, max_size=12))
def test_of_a_seventh_digit_the_last_unit_may_be_lost(rows: list[tuple[int, float]]) -> None:
    traded = [cents / 100 for cents, _ in rows]
    assert through_yahoo(traded, [ratio for _, ratio in rows]) == pytest.approx(traded, abs=0.0101)


# An exchange on loopback, in the shape of Yahoo's chart API


@dataclass
class Exchange:
    """What has been traded, how far time has come, and who asked for what."""

    days: list[date]
    splits: dict[date, float] = field(default_factory=dict)
    dividends: dict[date, float] = field(default_factory=dict)
    today: date = date.max
    oldest_hour: date = date.min
    failures: int = 0
    queries: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def price(self, day: date) -> float:
        """100, 101, 102, ... in the shares of its day."""
        shares = np.prod([ratio for when, ratio in self.splits.items() if when <= day] or [1.0])
        return round((100 + self.days.index(day)) / float(shares), 2)

    def chart(self, ticker: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.queries.append((ticker, query))
        if self.failures:
            self.failures -= 1
            return 503, {}
        if ticker.startswith("NO"):
            why = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, {"chart": {"result": None, "error": why}}
        start = int(query.get("period1", 0))
        if query["interval"] == "1h":
            span = int(query["period2"]) - start
            if abs(span - LIMIT) < 60:
                start = 0  # all that there is
            elif start < self.opening(self.oldest_hour):
                text = (
                    "1h data not available. The requested range must be within the last 730 days."
                )
                why = {"code": "Unprocessable Entity", "description": text}
                return 422, {"chart": {"result": None, "error": why}}
        days = [d for d in self.days if d <= self.today and self.opening(d) >= start]
        return 200, {"chart": {"error": None, "result": [self.result(days, query["interval"])]}}

    def opening(self, day: date) -> int:
        if day == date.min:
            return 0
        return int(datetime(day.year, day.month, day.day, 9, 15, tzinfo=INDIA).timestamp())

    def result(self, days: list[date], interval: str) -> dict[str, Any]:
        splits = {d: r for d, r in self.splits.items() if d <= self.today}
        later = {d: float(np.prod([r for w, r in splits.items() if w > d] or [1.0])) for d in days}
        hours = range(2) if interval == "1h" else range(1)
        stamps = [(self.opening(day) + 3600 * hour, day) for day in days for hour in hours]

        def adjusted(add: float) -> list[float]:
            return [float(np.float32((self.price(d) + add) / later[d])) for _, d in stamps]

        session = {"timezone": "IST", "gmtoffset": 19800}
        periods = [
            {**session, "start": self.opening(day), "end": self.opening(day) + 22500}
            for day in days
        ]
        return {
            "meta": {
                "currency": "INR",
                "exchangeTimezoneName": "Asia/Kolkata",
                "instrumentType": "EQUITY",
                "priceHint": 2,
                "validRanges": ["1d", "max"],
                "tradingPeriods": [[period] for period in periods],
                "currentTradingPeriod": dict.fromkeys(("pre", "regular", "post"), periods[-1]),
            },
            "timestamp": [stamp for stamp, _ in stamps],
            "indicators": {
                "quote": [
                    {
                        "open": adjusted(0),
                        "high": adjusted(2),
                        "low": adjusted(-2),
                        "close": adjusted(1),
                        "volume": [round(1000 * later[day]) for _, day in stamps],
                    }
                ]
            },
            "events": {
                "splits": {
                    str(self.opening(d)): {
                        "date": self.opening(d),
                        "numerator": r,
                        "denominator": 1,
                    }
                    for d, r in splits.items()
                    if d in later
                },
                "dividends": {
                    str(self.opening(d)): {"date": self.opening(d), "amount": amount / later[d]}
                    for d, amount in self.dividends.items()
                    if d in later
                },
            },
        }


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for Yahoo's hosts that only these tests trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    hosts = [x509.DNSName("*.yahoo.com"), x509.DNSName("*.finance.yahoo.com")]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("loopback") / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return file


class Handler(BaseHTTPRequestHandler):
    """A proxy that answers for every host itself."""

    exchange: Exchange
    context: ssl.SSLContext

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.handle_one_request()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        status, body = 404, "{}"
        if url.path.startswith("/v8/finance/chart/"):
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            ticker = unquote(url.path.rpartition("/")[2])
            status, answer = self.exchange.chart(ticker, query)
            body = json.dumps(answer)
        elif url.path.endswith("/getcrumb"):
            status, body = 200, "crumb"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
        self.close_connection = True

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def exchange(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    # yfinance keeps one session per process, which has read its settings when it was made.
    monkeypatch.setattr(SingletonMeta, "_instances", {})
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(12)]
    exchange = Exchange([day for day in days if day.weekday() < 5])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    handler = type("_Handler", (Handler,), {"exchange": exchange, "context": context})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield exchange
        server.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is not there."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def fetch(*symbols: str, known: dict[Any, date] | None = None, **options: Any) -> list[Series]:
    request = Request(symbols, (), date(2030, 1, 1), Path("unused"), known or {})
    return list(yahoo.fetch(request, **{"backoff": 0, "retries": 1, **options}))


def data(as_of: date, source: str = "yahoo", **options: Any) -> SourceParams:
    return SourceParams.model_validate(
        {
            "source": source,
            "path": "data/inbox",
            "as_of": as_of,
            "calendar": "XBOM",
            "extra_sessions": [],
            "symbols": ["TCS.NS"],
            "market": ["^NSEI"],
            "sources": {"yahoo": {"retries": 1, "backoff": 0, **options}},
        }
    )


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_traded_prices_come_back_through_yfinance(exchange: Exchange) -> None:
    exchange.splits = {date(2024, 1, 4): 2.0, date(2024, 1, 10): 3.0}
    exchange.dividends = {date(2024, 1, 3): 12.0, date(2024, 1, 10): 1.5}
    [series] = fetch("TCS.NS")
    prices = [exchange.price(day) for day in exchange.days]
    expected = pl.DataFrame(
        {
            "symbol": "TCS.NS",
            "date": exchange.days,
            "open": prices,
            "high": [price + 2 for price in prices],
            "low": [price - 2 for price in prices],
            "close": [price + 1 for price in prices],
            "adj_close": None,
            "volume": 1000.0,
        },
        schema=dict(tables.RAW_DAILY),
    )
    assert_frame_equal(series.bars, expected)
    assert series.actions is not None
    assert series.actions.rows() == [
        ("TCS.NS", date(2024, 1, 3), 1.0, 12.0),
        ("TCS.NS", date(2024, 1, 4), 2.0, 0.0),
        ("TCS.NS", date(2024, 1, 10), 3.0, 1.5),
    ]
    assert not series.partial


def test_hourly_bars_are_the_same_shares_in_utc(exchange: Exchange) -> None:
    exchange.splits = {date(2024, 1, 4): 2.0}
    _, hourly = fetch("TCS.NS", hourly=True)
    assert (hourly.kind, hourly.actions) == ("hourly", None)
    assert hourly.bars.schema == dict(tables.RAW_HOURLY)
    assert hourly.bars["timestamp"].head(3).to_list() == [
        datetime(2024, 1, 1, 3, 45, tzinfo=UTC),
        datetime(2024, 1, 1, 4, 45, tzinfo=UTC),
        datetime(2024, 1, 2, 3, 45, tzinfo=UTC),
    ]
    assert hourly.bars["open"].to_list() == [
        exchange.price(day) for day in exchange.days for _ in range(2)
    ]


def test_only_what_follows_is_asked_for(exchange: Exchange) -> None:
    known = exchange.days[5]
    exchange.splits = {exchange.days[7]: 2.0}
    [series] = fetch("TCS.NS", known={("daily", "TCS.NS"): known})
    assert series.partial
    assert series.bars["date"].to_list() == exchange.days[5:]
    assert series.bars["open"].to_list() == [exchange.price(day) for day in exchange.days[5:]]
    _, query = exchange.queries[-1]
    midnight = datetime(known.year, known.month, known.day, tzinfo=INDIA)
    assert int(query["period1"]) == int(midnight.timestamp())


def test_hourly_bars_older_than_yahoo_keeps_them_are_passed_over(exchange: Exchange) -> None:
    exchange.oldest_hour = exchange.days[2]
    known = {("hourly", "TCS.NS"): exchange.days[0]}
    _, hourly = fetch("TCS.NS", known=known, hourly=True)
    assert hourly.partial
    assert hourly.bars.height == 2 * len(exchange.days)


def test_moving_as_of_continues_and_ends_in_the_bytes_of_a_fresh_ingest(
    exchange: Exchange, tmp_path: Path
) -> None:
    raw, fresh = tmp_path / "held" / "raw", tmp_path / "fresh" / "raw"
    exchange.dividends = {exchange.days[1]: 12.0, exchange.days[8]: 5.0}
    exchange.today = exchange.days[4]
    ingest(data(exchange.days[4], hourly=True), raw)
    # A split comes; Yahoo now tells the whole past otherwise.
    exchange.splits = {exchange.days[7]: 3.0}
    exchange.today = exchange.days[-1]
    exchange.queries.clear()
    ingest(data(exchange.days[-1], hourly=True), raw)
    assert len(exchange.queries) == 3
    assert all(
        int(query["period1"]) > exchange.opening(exchange.days[3]) for _, query in exchange.queries
    )
    ingest(data(exchange.days[-1], hourly=True), fresh)
    assert content(raw) == content(fresh)


def test_bars_from_before_the_exchange_is_known_are_set_aside(
    exchange: Exchange, tmp_path: Path, repo_root: Path
) -> None:
    """The example of docs/data.md, of whose tickers one has bars from 1996."""
    text = (repo_root / "docs" / "data.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(data:\n  source: yahoo\n.*?)```", text, re.DOTALL)
    params = SourceParams.model_validate(
        {"path": "data/inbox", "extra_sessions": [], **yaml.safe_load(example)["data"]}
    )
    old = [date(1996, 12, 30), date(1996, 12, 31)]
    exchange.days = [*old, date(1997, 1, 1), date(1997, 1, 2)]
    exchange.dividends = {old[0]: 1.0, exchange.days[2]: 2.0}
    raw = tmp_path / "raw"
    done = ingest(params, raw)
    assert tables.read(raw / "daily" / "RELIANCE.NS.parquet")["date"].to_list() == exchange.days[2:]
    assert tables.read(raw / "actions.parquet")["date"].unique().to_list() == exchange.days[2:3]
    [line] = remarks(params, done)
    assert {"8", "1997-01-01", "XBOM", "RELIANCE.NS", "2"} <= facts(line)


def test_moving_as_of_back_needs_no_network(
    exchange: Exchange, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    raw, early = tmp_path / "held" / "raw", tmp_path / "early" / "raw"
    exchange.dividends = {exchange.days[1]: 12.0, exchange.days[8]: 5.0}
    ingest(data(exchange.days[-1], hourly=True), raw)
    ingest(data(exchange.days[4], hourly=True), early)
    request.getfixturevalue("no_network")
    ingest(data(exchange.days[4], hourly=True), raw)
    assert content(raw) == content(early)


def test_bars_of_another_source_are_never_continued(exchange: Exchange, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    sample = data(date(2012, 12, 31), source="sample")
    ingest(sample.model_copy(update={"symbols": ["AAPL"], "market": []}), raw)
    ingest(data(exchange.days[-1]), raw)
    assert sorted(content(raw)) == [
        "actions.parquet",
        "daily/TCS.NS.parquet",
        "market/^NSEI.parquet",
        "source.json",
    ]
    assert all(int(query.get("period1", 0)) <= 0 for _, query in exchange.queries)


def test_an_unanswered_question_is_asked_again(exchange: Exchange) -> None:
    fetch("TCS.NS")
    # yfinance asks twice by itself.
    exchange.failures = 3
    [series] = fetch("TCS.NS", retries=3)
    assert series.bars.height == len(exchange.days)


@pytest.mark.usefixtures("exchange")
def test_a_ticker_that_yahoo_does_not_know() -> None:
    with pytest.raises(SourceError) as caught:
        fetch("NOPE.NS", retries=9)
    assert facts(str(caught.value)) == facts(
        "yahoo: NOPE.NS: Yahoo has no such bars (HTTP Error 404: Not Found); correct the ticker "
        "(those of the NSE end in .NS, of the BSE in .BO) or take it out of params.yaml"
    )


def test_no_network_is_one_clear_line_and_touches_nothing(
    exchange: Exchange, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    raw = tmp_path / "data" / "raw"
    ingest(data(exchange.days[4]), raw)
    before = content(tmp_path / "data")
    request.getfixturevalue("no_network")
    for retries, tries in ((1, "1 try"), (2, "2 tries")):
        with pytest.raises(SourceError) as caught:
            ingest(data(exchange.days[-1], retries=retries), raw)
        assert facts(str(caught.value)) == facts(
            f"yahoo: TCS.NS: no answer after {tries} (failed to connect to "
            "query2.finance.yahoo.com:443 over proxy 127.0.0.1: Could not connect to server); "
            "check the network, or set data.source to sample"
        )
    assert content(tmp_path / "data") == before


@pytest.mark.usefixtures("no_network")
def test_the_command_without_a_network_leaves_no_mark_anywhere(
    tmp_path: Path, repo_root: Path
) -> None:
    params = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    params["data"].update(source="yahoo", symbols=["TCS.NS"], market=["^NSEI"])
    params["data"]["sources"]["yahoo"] = {"retries": 1}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    homes = {name: tmp_path / name for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for home in homes.values():
        home.mkdir()
    run = subprocess.run(
        [sys.executable, "-m", "stages.ingest"],
        cwd=tmp_path,
        env={**os.environ, **{k: str(v) for k, v in homes.items()}, "PYTHONPATH": str(repo_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (
        1,
        "",
        "error: yahoo: TCS.NS: no answer after 1 try (failed to connect to query2.finance.yahoo.com"
        ":443 over proxy 127.0.0.1: Could not connect to server); check the network, or set "
        "data.source to sample\n",
    )
    marks = [file for folder in (*homes.values(), tmp_path / "data") for file in folder.iterdir()]
    assert marks == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            OSError(
                "Failed to perform, curl: (6) Could not resolve host: query2.finance.yahoo.com. "
                "See https://curl.se/libcurl/c/libcurl-errors.html first for more details."
            ),
            "could not resolve host: query2.finance.yahoo.com",
        ),
        (ValueError("HTTP Error 429: "), "HTTP Error 429:"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_reason_is_told_without_advice(error: Exception, reason: str) -> None:
    assert yahoo._reason(error) == reason


def test_tickers_must_be_named() -> None:
    with pytest.raises(SourceError) as caught:
        fetch()
    assert facts(str(caught.value)) == facts(
        "yahoo: data.symbols is empty; name the tickers, for example TCS.NS or AAPL"
    )
