"""Files in the shapes of real exporters: each read with the right values, or refused by cause.

Numbers are invented. Every file holds the same two bars unless it says otherwise, so that each cell
is compared; what an exporter adds, and how it writes, is its own.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stages.common import tables
from stages.common.errors import StageError
from stages.ingest import ingest
from stages.sources import SourceParams
from tests.messages import facts

pytestmark = pytest.mark.usefixtures("elsewhere")

TWO = [
    (date(2023, 3, 6), 31.0, 31.6, 30.9, 31.2, 1200300.0),
    (date(2023, 3, 7), 31.2, 31.4, 30.7, 30.8, 1100200.0),
]
NEWEST_FIRST = TWO[::-1]
QUIET = [(*row[:-1], None) for row in TWO]

FOREX = [
    (datetime(2023, 3, 6, 10, tzinfo=UTC), 1.0631, 1.0694, 1.0620, 1.0680, 6080.0),
    (datetime(2023, 3, 6, 11, tzinfo=UTC), 1.0680, 1.0692, 1.0645, 1.0649, 5480.0),
]

TITLE = {
    "date": "Date",
    "open": "Open",
    "high": "High",
    "low": "Low",
    "close": "Close",
    "volume": "Volume",
}
POSITIONS = {"date": 1, "open": 2, "high": 3, "low": 4, "close": 5, "volume": 6}
HOURLY = {**POSITIONS, "date": None, "timestamp": 1}
METATRADER = {ours: f"<{ours.upper()}>" for ours in ("date", "open", "high", "low", "close")} | {
    "volume": "<TICKVOL>"
}


@dataclass(frozen=True)
class Shape:
    """A file, how it is described in params.yaml, and what comes of it: bars, or a refusal."""

    content: str | bytes
    bars: list[tuple[Any, ...]] | None = None
    columns: dict[str, Any] = field(default_factory=lambda: TITLE)
    options: dict[str, Any] = field(default_factory=dict)
    calendar: str = "XNYS"
    refusal: str = ""


SHAPES = {
    "yahoo, downloaded": Shape(
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "2023-03-06,31.0,31.6,30.9,31.2,30.1,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,29.7,1100200\n",
        TWO,
    ),
    "yfinance, history in New York": Shape(
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
        "2023-03-06 00:00:00-05:00,31.0,31.6,30.9,31.2,1200300,0.0,0.0\n"
        "2023-03-07 00:00:00-05:00,31.2,31.4,30.7,30.8,1100200,0.0,0.0\n",
        TWO,
    ),
    "yfinance, three header rows": Shape(
        "Price,Close,High,Low,Open,Volume\nTicker,ACME,ACME,ACME,ACME,ACME\nDate,,,,,\n"
        "2023-03-06,31.20,31.60,30.90,31.00,1200300\n"
        "2023-03-07,30.80,31.40,30.70,31.20,1100200\n",
        TWO,
    ),
    "yfinance, three header rows, the date by its name above": Shape(
        "Price,Close,High,Low,Open,Volume\nTicker,ACME,ACME,ACME,ACME,ACME\nDate,,,,,\n"
        "2023-03-06,31.20,31.60,30.90,31.00,1200300\n"
        "2023-03-07,30.80,31.40,30.70,31.20,1100200\n",
        TWO,
        TITLE | {"date": "Price"},
    ),
    "yfinance, grouped by ticker": Shape(
        "Ticker,ACME,ACME,ACME,ACME,ACME\nPrice,Open,High,Low,Close,Volume\nDate,,,,,\n"
        "2023-03-06,31.00,31.60,30.90,31.20,1200300\n"
        "2023-03-07,31.20,31.40,30.70,30.80,1100200\n",
        TWO,
    ),
    "yfinance, two tickers side by side": Shape(
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
        "Ticker,ACME,ZETA,ACME,ZETA,ACME,ZETA,ACME,ZETA,ACME,ZETA\nDate,,,,,,,,,,\n"
        "2023-03-06,31.2,71.2,31.6,71.6,30.9,70.9,31.0,71.0,1200300,220030\n",
        refusal="ACME, ZETA side by side",
    ),
    "investing.com": Shape(
        '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"\n'
        '"03/07/2023","30.80","31.20","31.40","30.70","1,100.2K","-1.28%"\n'
        '"03/06/2023","31.20","31.00","31.60","30.90","1.2003M","0.65%"\n',
        NEWEST_FIRST,
        TITLE | {"close": "Price", "volume": "Vol."},
        {"date_format": "%m/%d/%Y", "thousands": ","},
    ),
    "investing.com in German": Shape(
        '"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"\n'
        '"06.03.2023","31,20","31,00","31,60","30,90","1,2003M","0,65%"\n'
        '"07.03.2023","30,80","31,20","31,40","30,70","1,1002M","-1,28%"\n',
        TWO,
        {
            "date": "Datum",
            "close": "Zuletzt",
            "open": "Eröffn.",
            "high": "Hoch",
            "low": "Tief",
            "volume": "Vol.",
        },
        {"date_format": "%d.%m.%Y", "decimal": ","},
    ),
    "nasdaq.com": Shape(
        "Date, Close/Last, Volume, Open, High, Low\n"
        "03/07/2023, $30.80, 1100200, $31.2, $31.4, $30.7\n"
        "03/06/2023, $31.2, 1200300, $31, $31.6, $30.9\n",
        NEWEST_FIRST,
        TITLE | {"close": "Close/Last"},
        {"date_format": "%m/%d/%Y"},
    ),
    "NSE": Shape(
        '"Date ","series ","OPEN ","HIGH ","LOW ","PREV. CLOSE ","ltp ","close ","VOLUME "\n'
        '"06-Mar-2023","EQ","31.00","31.60","30.90","31.10","31.20","31.20","12,00,300"\n'
        '"07-Mar-2023","EQ","31.20","31.40","30.70","31.20","30.80","30.80","11,00,200"\n',
        TWO,
        {
            "date": "Date",
            "open": "OPEN",
            "high": "HIGH",
            "low": "LOW",
            "close": "close",
            "volume": "VOLUME",
        },
        {"thousands": ","},
    ),
    "BSE, full months and a comma at the end": Shape(
        "Date,Open Price,High Price,Low Price,Close Price,WAP,No.of Shares\n"
        "7-March-2023,31.2,31.4,30.7,30.8,31.01,1100200,\n"
        "6-March-2023,31.0,31.6,30.9,31.2,31.23,1200300,\n",
        NEWEST_FIRST,
        {
            **{ours: f"{ours.title()} Price" for ours in ("open", "high", "low", "close")},
            "date": "Date",
            "volume": "No.of Shares",
        },
    ),
    "stooq": Shape(
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "ACME.US,D,20230306,000000,31.0,31.6,30.9,31.2,1200300,0\n"
        "ACME.US,D,20230307,000000,31.2,31.4,30.7,30.8,1100200,0\n",
        TWO,
        METATRADER | {"volume": "<VOL>"},
    ),
    "MetaTrader 5, daily": Shape(
        "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
        "2023.03.06\t31.0\t31.6\t30.9\t31.2\t1200300\t0\t2\n"
        "2023.03.07\t31.2\t31.4\t30.7\t30.8\t1100200\t0\t2\n",
        TWO,
        METATRADER,
        {"delimiter": "\t"},
    ),
    "MetaTrader 5, hourly": Shape(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\n"
        "2023.03.06\t10:00:00\t1.0631\t1.0694\t1.0620\t1.0680\t6080\n"
        "2023.03.06\t11:00:00\t1.0680\t1.0692\t1.0645\t1.0649\t5480\n",
        FOREX,
        METATRADER | {"time": "<TIME>"},
        {"delimiter": "\t"},
        "24/5",
    ),
    "MetaTrader 5, the time without its day": Shape(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\n"
        "2023.03.06\t10:00:00\t1.0631\t1.0694\t1.0620\t1.0680\t6080\n",
        columns=METATRADER | {"date": None, "timestamp": "<TIME>"},
        options={"delimiter": "\t"},
        refusal="data.sources.csv.columns.time",
    ),
    "MetaTrader 4": Shape(
        "2023.03.06,10:00,1.0631,1.0694,1.0620,1.0680,6080\n"
        "2023.03.06,11:00,1.0680,1.0692,1.0645,1.0649,5480\n",
        FOREX,
        {"date": 1, "time": 2, "open": 3, "high": 4, "low": 5, "close": 6, "volume": 7},
        {"header": False},
        "24/5",
    ),
    "two columns with a format of the day": Shape(
        "Day;Time;Open;High;Low;Close;Volume\n"
        "06/03/2023;10:00;1.0631;1.0694;1.0620;1.0680;6080\n"
        "06/03/2023;11:00;1.0680;1.0692;1.0645;1.0649;5480\n",
        FOREX,
        TITLE | {"date": "Day", "time": "Time"},
        {"delimiter": ";", "date_format": "%d/%m/%Y"},
        "24/5",
    ),
    "histdata.com": Shape(
        "20230306 100000;1.0631;1.0694;1.0620;1.0680;6080\n"
        "20230306 110000;1.0680;1.0692;1.0645;1.0649;5480\n",
        FOREX,
        HOURLY,
        {"header": False, "delimiter": ";"},
        "24/5",
    ),
    "dukascopy": Shape(
        "Gmt time,Open,High,Low,Close,Volume\n"
        "06.03.2023 10:00:00.000,1.0631,1.0694,1.0620,1.0680,6080\n"
        "06.03.2023 11:00:00.000,1.0680,1.0692,1.0645,1.0649,5480\n",
        FOREX,
        TITLE | {"date": None, "timestamp": "Gmt time"},
        {"date_format": "%d.%m.%Y %H:%M:%S.%f"},
        "24/5",
    ),
    "TradingView, seconds at the open": Shape(
        "time,open,high,low,close,Volume\n"
        "1678113000,31.0,31.6,30.9,31.2,1200300\n"
        "1678199400,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
        {**{name: name for name in ("open", "high", "low", "close")}, "date": "time"}
        | {"volume": "Volume"},
    ),
    "Polygon, milliseconds at midnight in New York": Shape(
        "v,vw,o,c,h,l,t,n\n"
        "1200300,31.2,31.0,31.2,31.6,30.9,1678078800000,9\n"
        "1100200,31.0,31.2,30.8,31.4,30.7,1678165200000,9\n",
        TWO,
        {"date": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"},
    ),
    "Binance, no header": Shape(
        "1678060800000,31.0,31.6,30.9,31.2,1200300,1678147199999,0,1,0,0,0\n"
        "1678147200000,31.2,31.4,30.7,30.8,1100200,1678233599999,0,1,0,0,0\n",
        TWO,
        POSITIONS,
        {"header": False},
        "24/7",
    ),
    "Alpaca, UTC at midnight in New York": Shape(
        "timestamp,open,high,low,close,volume\n"
        "2023-03-06T05:00:00Z,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07T05:00:00Z,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
        {"date": "timestamp"},
    ),
    "Tiingo, days written as midnight in UTC": Shape(
        "date,close,high,low,open,volume,adjClose\n"
        "2023-03-06T00:00:00.000Z,31.2,31.6,30.9,31.0,1200300,31.2\n"
        "2023-03-07T00:00:00.000Z,30.8,31.4,30.7,31.2,1100200,30.8\n",
        TWO,
        {"date": "date"},
    ),
    "Google Finance, the close in New York": Shape(
        "Date,Open,High,Low,Close,Volume\n"
        "3/6/2023 16:00:00,31.0,31.6,30.9,31.2,1200300\n"
        "3/7/2023 16:00:00,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
        options={"date_format": "%m/%d/%Y %H:%M:%S"},
    ),
    "Alpha Vantage": Shape(
        "timestamp,open,high,low,close,volume\r\n"
        "2023-03-07,31.2000,31.4000,30.7000,30.8000,1100200\r\n"
        "2023-03-06,31.0000,31.6000,30.9000,31.2000,1200300\r\n",
        NEWEST_FIRST,
        {"date": "timestamp"},
    ),
    "MarketWatch": Shape(
        "Date,Open,High,Low,Close,Volume\n"
        '03/07/2023,$31.20,$31.40,$30.70,$30.80,"1,100,200"\n'
        '03/06/2023,$31.00,$31.60,$30.90,$31.20,"1,200,300"\n',
        NEWEST_FIRST,
        options={"date_format": "%m/%d/%Y", "thousands": ","},
    ),
    "Barchart, with a note below": Shape(
        "Time,Open,High,Low,Last,Change,%Chg,Volume\n"
        "2023-03-06,31.0,31.6,30.9,31.2,0.2,0.65%,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,-0.4,-1.28%,1100200\n"
        '"Downloaded from Barchart.com as of 03-08-2023 04:10pm CST"\n',
        TWO,
        TITLE | {"date": "Time", "close": "Last"},
    ),
    "Bloomberg, four lines above the header": Shape(
        "Security,ACME US Equity\nStart Date,3/6/2023\nEnd Date,3/7/2023\n\n"
        "Date,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME\n"
        "2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
        {
            **{name: f"PX_{name.upper()}" for name in ("open", "high", "low", "volume")},
            "date": "Date",
            "close": "PX_LAST",
        },
    ),
    "comments above the header": Shape(
        "# Stock data for ACME\n# Total records: 2\n\nDate,Open,High,Low,Close,Volume\n"
        "2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
    ),
    "Excel in German": Shape(
        "sep=;\nDate;Open;High;Low;Close;Volume\n"
        "06.03.2023;31,0 €;31,6 €;30,9 €;31,2 €;1.200.300\n"
        "07.03.2023;31,2 €;31,4 €;30,7 €;30,8 €;1.100.200\n",
        TWO,
        options={"date_format": "%d.%m.%Y", "decimal": ",", "thousands": "."},
    ),
    "Excel, Unicode text": Shape(
        "Date\tOpen\tHigh\tLow\tClose\tVolume\r\n"
        "2023-03-06\t31.0\t31.6\t30.9\t31.2\t1200300\r\n"
        "2023-03-07\t31.2\t31.4\t30.7\t30.8\t1100200\r\n".encode("utf-16"),
        TWO,
        options={"delimiter": "\t"},
    ),
    "UTF-16 without a mark": Shape(
        "Date,Open,High,Low,Close,Volume\n2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n".encode("utf-16-le"),
        TWO,
    ),
    "an old Mac, lines end by a return": Shape(
        "Date,Open,High,Low,Close,Volume\r2023-03-06,31.0,31.6,30.9,31.2,1200300\r"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\r",
        TWO,
    ),
    "a form feed above the header": Shape(
        "Report\x0cof\u2028ACME\nDate,Open,High,Low,Close,Volume\n"
        "2023-03-06,31.0,31.6,30.9,31.2,1200300\n2023-03-07,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
    ),
    "Excel, serial days": Shape(
        "Date,Open,High,Low,Close,Volume,,\n"
        "44991,31.0,31.6,30.9,31.2,1200300,,\n44992,31.2,31.4,30.7,30.8,1100200,,\n",
        TWO,
    ),
    "an average and a total below": Shape(
        "Date,Open,High,Low,Close,Volume\n2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n"
        "Average,31.1,31.5,30.8,31.0,1150250\nTotal,,,,,2300500\n",
        TWO,
    ),
    "pandas, the index without a name": Shape(
        ",Open,High,Low,Close,Volume\n2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n",
        TWO,
        TITLE | {"date": 1},
    ),
    "R, row names without a header": Shape(
        '"Date","Open","High","Low","Close","Volume"\n"1",2023-03-06,31.0,31.6,30.9,31.2,1200300\n',
        refusal="row 2 has more fields than the 6 columns",
    ),
    "Windows, cp1252": Shape(
        "Date;Eröffnung;High;Low;Schluß;Volume\n2023-03-06;31.0;31.6;30.9;31.2;1200300\n"
        "2023-03-07;31.2;31.4;30.7;30.8;1100200\n".encode("cp1252"),
        TWO,
        TITLE | {"open": "Eröffnung", "close": "Schluß"},
        {"delimiter": ";", "encoding": "cp1252"},
    ),
    "Windows, cp1252, not said": Shape(
        "Date;Eröffnung;High;Low;Schluß;Volume\n2023-03-06;31.0;31.6;30.9;31.2;1200300\n".encode(
            "cp1252"
        ),
        columns=TITLE | {"open": "Eröffnung", "close": "Schluß"},
        options={"delimiter": ";"},
        refusal="set data.sources.csv.encoding to cp1252",
    ),
    "Tokyo, Shift JIS, not said": Shape(
        "日付,始値,高値,安値,終値,出来高\n2023-03-06,31.0,31.6,30.9,31.2,1200300\n".encode(
            "shift_jis"
        ),
        columns={"date": "日付", "open": "始値", "high": "高値", "low": "安値"}
        | {"close": "終値", "volume": "出来高"},
        refusal="set data.sources.csv.encoding to shift_jis",
    ),
    "Tokyo, Shift JIS": Shape(
        "日付,始値,高値,安値,終値,出来高\n2023-03-06,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-07,31.2,31.4,30.7,30.8,1100200\n".encode("shift_jis"),
        TWO,
        {"date": "日付", "open": "始値", "high": "高値", "low": "安値"}
        | {"close": "終値", "volume": "出来高"},
        {"encoding": "shift_jis"},
    ),
    "currencies, no volume": Shape(
        "Date,Open,High,Low,Close\n2023-03-06,31.0,31.6,30.9,31.2\n2023-03-07,31.2,31.4,30.7,30.8\n",
        QUIET,
        TITLE | {"volume": None},
    ),
    "Mumbai, midnight written in UTC": Shape(
        "Date,Open,High,Low,Close,Volume\n"
        "2023-03-05 18:30:00+00:00,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-08 18:30:00+00:00,31.2,31.4,30.7,30.8,1100200\n",
        [TWO[0], (date(2023, 3, 9), *TWO[1][1:])],
        calendar="XBOM",
    ),
    "Mumbai, midnight written in UTC, at the wrong exchange": Shape(
        "Date,Open,High,Low,Close,Volume\n"
        "2023-03-05 18:30:00+00:00,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-06 18:30:00+00:00,31.2,31.4,30.7,30.8,1100200\n",
        refusal="instants of another zone",
    ),
    "twins": Shape(
        "Date,Close,Close,High,Low,Open,Volume\n2023-03-06,31.2,71.2,31.6,30.9,31.0,1200300\n",
        refusal="columns 2 and 3 are both called 'Close'",
    ),
    "twins but for blanks": Shape(
        "Date,Close, Close ,High,Low,Open,Volume\n2023-03-06,31.2,71.2,31.6,30.9,31.0,1200300\n",
        refusal="columns 2 and 3 are both called 'Close'",
    ),
    "no header, not said": Shape(
        "2023-03-06 10:00,1.0631,1.0694,1.0620,1.0680,6080\n",
        columns={"timestamp": "time"},
        refusal="set data.sources.csv.header to false",
    ),
    "no header, the first bar named as one": Shape(
        "2023-03-06,31.0,31.6,30.9,31.2,1200300\n2023-03-07,31.2,31.4,30.7,30.8,1100200\n",
        columns={"date": "2023-03-06", "open": "31.0", "high": "31.6", "low": "30.9"}
        | {"close": "31.2", "volume": "1200300"},
        refusal="set data.sources.csv.header to false",
    ),
    "another delimiter": Shape(
        "Date;Open;High;Low;Close;Volume\n2023-03-06;31.0;31.6;30.9;31.2;1200300\n",
        refusal="set data.sources.csv.delimiter to ';'",
    ),
    "a decimal comma between commas": Shape(
        "Date,Open,High,Low,Close,Volume\n2023-03-06,31,0,31,6,30,9,31,2,1200300\n",
        refusal="row 2 has more fields than the 6 columns",
    ),
    "pounds among pence": Shape(
        "Date,Open,High,Low,Close,Volume\n2023-03-06,512.0,515.5,510.2,£5.141,1200300\n"
        "2023-03-07,514.5,516.0,508.8,509.9,1100200\n2023-03-08,514.5,516.0,508.8,509.9,1100200\n",
        refusal="'£5.141'",
    ),
    "thousands, not said": Shape(
        'Date,Open,High,Low,Close,Volume\n2023-03-06,"1,031.0",1031.6,1030.9,1031.2,1200300\n',
        refusal="data.sources.csv.thousands to ','",
    ),
    "the day or the month first": Shape(
        "Date,Open,High,Low,Close,Volume\n03/06/2023,31.0,31.6,30.9,31.2,1200300\n",
        refusal="'%d/%m/%Y' or '%m/%d/%Y'",
    ),
    "a year of two digits beside a month by name": Shape(
        "Date,Open,High,Low,Close,Volume\n06-Mar-23,31.0,31.6,30.9,31.2,1200300\n",
        refusal="'%d-%b-%y'",
    ),
    "numbers that are no dates": Shape(
        "Date,Open,High,Low,Close,Volume\n86400,31.0,31.6,30.9,31.2,1200300\n",
        refusal="'86400'",
    ),
    "bars of four hours": Shape(
        "Date,Open,High,Low,Close,Volume\n2023-03-06 00:00:00,31.0,31.6,30.9,31.2,1200300\n"
        "2023-03-06 04:00:00,31.2,31.4,30.7,30.8,1100200\n",
        columns=TITLE | {"date": None, "timestamp": "Date"},
        calendar="24/5",
        refusal="4 hours",
    ),
}


def run(folder: Path, shape: Shape, source: str = "csv", file: str = "ACME.csv") -> pl.DataFrame:
    inbox, raw = folder / "inbox", folder / "raw"
    if shape.content:
        path = inbox / file
        path.parent.mkdir(parents=True, exist_ok=True)
        content = shape.content
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    params = SourceParams.model_validate(
        {
            "source": source,
            "path": inbox,
            "as_of": "2026-11-01",
            "calendar": shape.calendar,
            "extra_sessions": [],
            "symbols": [],
            "market": [],
            "sources": {source: {"columns": shape.columns, **shape.options}},
        }
    )
    # A folder that is there is not looked for in the cache of DVC.
    raw.mkdir(exist_ok=True)
    ingest(params, raw)
    [table] = [*raw.glob("daily/*.parquet"), *raw.glob("hourly/*.parquet")]
    return tables.read(table)


def rows(bars: pl.DataFrame) -> list[tuple[Any, ...]]:
    clock = "timestamp" if "timestamp" in bars.columns else "date"
    return bars.select(clock, *tables.PRICES, "volume").rows()


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_in_the_shape_of_an_exporter(tmp_path: Path, name: str) -> None:
    shape = SHAPES[name]
    if not shape.refusal:
        bars = run(tmp_path, shape)
        assert bars["symbol"].unique().to_list() == ["ACME"]
        assert rows(bars) == shape.bars
        return
    with pytest.raises(StageError) as caught:
        run(tmp_path, shape)
    assert shape.refusal in str(caught.value)
    assert facts(str(caught.value))
    assert not list((tmp_path / "raw").iterdir())


DAYS = pl.Series([row[0] for row in TWO])
NUMBERS = pl.DataFrame([row[1:] for row in TWO], schema=list(TITLE)[1:], orient="row")


@pytest.mark.parametrize(
    "dates",
    [
        DAYS,
        pl.Series([20230306, 20230307]),
        pl.Series([1678078800, 1678165200]),
        pl.Series([1678078800000, 1678165200000]),
        pl.Series([1678078800 * 10**9, 1678165200 * 10**9]),
        pl.Series([44991.0, 44992.0]),
        pl.Series([44991, 44992], dtype=pl.Int32),
        pl.Series(["6 March 2023", "7 March 2023"]),
        DAYS.cast(pl.Datetime("ns")),
        DAYS.cast(pl.Datetime("ms")).dt.replace_time_zone("America/New_York"),
        DAYS.cast(pl.Datetime("us"))
        .dt.replace_time_zone("America/New_York")
        .dt.convert_time_zone("UTC"),
    ],
)
def test_a_parquet_file_with_dates_of_any_kind(tmp_path: Path, dates: pl.Series) -> None:
    (tmp_path / "inbox").mkdir()
    NUMBERS.with_columns(dates.alias("date")).write_parquet(tmp_path / "inbox" / "ACME.parquet")
    assert rows(run(tmp_path, Shape("", columns={}), "parquet")) == TWO


def test_folders_as_hive_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "symbol=ACME" / "year=2023"
    folder.mkdir(parents=True)
    NUMBERS.with_columns(DAYS.alias("date")).write_parquet(folder / "part-0.parquet")
    (tmp_path / "inbox" / "_SUCCESS").touch()
    with pytest.raises(StageError) as caught:
        run(tmp_path, Shape("", columns={}), "parquet")
    assert "data.sources.parquet.columns.symbol" in facts(str(caught.value))
    bars = run(tmp_path, Shape("", columns={"symbol": "symbol"}), "parquet")
    assert bars["symbol"].unique().to_list() == ["ACME"]
    assert rows(bars) == TWO


def test_a_parquet_file_with_twins(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    twins = NUMBERS.with_columns(DAYS.alias("date"), NUMBERS["close"].alias("close "))
    twins.write_parquet(tmp_path / "inbox" / "ACME.parquet")
    with pytest.raises(StageError, match=r"columns 4 and 7 are both called 'close'"):
        run(tmp_path, Shape("", columns={}), "parquet")
