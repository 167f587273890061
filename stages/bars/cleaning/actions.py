"""Corporate actions: the source's, the hand-kept ones, and lines that would explain a jump."""

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from stages.bars.cleaning.jumps import RATIOS
from stages.common import tables
from stages.common.errors import DataError, InputError, few

ACTION: tables.Contract = {**tables.ACTIONS, "hand": pl.Boolean, "genuine": pl.Boolean}
"""One effect of a symbol and ex-date; `hand` marks a line of data/actions.csv, `genuine` one that
declares the move of its day to be the market's own, or every move if it has no date."""

_NEEDED = ("symbol", "date", "ratio")
_HEADERS = (_NEEDED, (*_NEEDED, "dividend"))

_IN_FULL = 3

_IF_ADJUSTED = (
    "; if these prices are adjusted for splits already, as yfinance writes them by default, set "
    "clean.adjustment to none"
)

_DAYS_NAMED = 50

_ROUNDING = 1e-3
"""A message does not mention a step that differs from 1 by less."""

_NEAR_POWER = 0.1
"""How far from 10, 100 or 1000 a change of unit may be: the market moves on that day too."""

_WILD = 5
"""A symbol with so many jumps is more likely wild by nature (VIX) than split so often."""


def read_hand_kept(path: Path) -> pl.DataFrame:
    """Read data/actions.csv: `symbol,date,ratio` and, if wanted, `dividend`.

    Dates are ex-dates such as 2017-09-07. Empty lines and lines that begin with # are skipped. A
    ratio of 1 without a dividend declares the move of that day genuine; it may stand beside
    another line of the same day, and then applies to what that one leaves. Without a date
    (`^VIX,,1`) it declares every move of the symbol genuine.

    Returns:
        The columns of `tables.ACTIONS`, in the order of the file; empty without a file.

    Raises:
        InputError: a line cannot be read; the message gives its number.
    """
    if not path.exists():
        return tables.empty(tables.ACTIONS)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    entries = _entries(lines)
    number, header = next(entries, (1, []))
    if tuple(header) not in _HEADERS:
        raise InputError(
            f"{path}: line {number}: should be the header symbol,date,ratio or "
            f"symbol,date,ratio,dividend, not {','.join(header)!r}"
        )
    number_of: dict[tuple[str, date | None, bool], int] = {}
    rows = []
    for number, entry in entries:
        try:
            row = symbol, day, ratio, dividend = _action(entry, header)
        except ValueError as error:
            raise InputError(
                f"{path}: line {number}: {error}; write it as ACME,2017-09-07,2"
            ) from None
        key = (symbol, day, ratio == 1 and dividend == 0)
        if key in number_of:
            raise InputError(
                f"{path}: line {number}: says of {symbol} what line {number_of[key]} says "
                "already, or contradicts it; keep one of the two"
            )
        number_of[key] = number
        rows.append(row)
    return pl.DataFrame(rows, schema=dict(tables.ACTIONS), orient="row")


def combine(source: pl.DataFrame, hand: pl.DataFrame) -> pl.DataFrame:
    """Put a source's actions and the hand-kept ones together.

    A hand-kept line adds to the source's actions, and takes the place of those of the same symbol
    and date.

    Args:
        source: columns of `tables.ACTIONS`; null where there is no split, or no dividend.
        hand: the same, as `read_hand_kept` gives it.

    Returns:
        The columns of `ACTION`, sorted by (symbol, date).

    Raises:
        DataError: an action of the source makes no sense.
    """
    source = source.with_columns(pl.col("ratio").fill_null(1), pl.col("dividend").fill_null(0))
    sound = (
        (pl.col("ratio").is_finite() & (pl.col("ratio") > 0))
        & (pl.col("dividend").is_finite() & (pl.col("dividend") >= 0))
    ).fill_null(value=False)
    unsound = source.filter(~sound)
    if unsound.height:
        named = few(
            f"{symbol} {day} (ratio {ratio:g}, dividend {dividend:g})"
            for symbol, day, ratio, dividend in unsound.iter_rows()
        )
        raise DataError(
            f"data/raw/actions.parquet: a ratio must be above 0, a dividend not below: {named}; "
            "mend the source"
        )
    from_source = source.join(hand, on=["symbol", "date"], how="anti")
    both = pl.concat(
        [
            from_source.with_columns(hand=pl.lit(value=False)),
            hand.with_columns(hand=pl.lit(value=True)),
        ]
    )
    return (
        both.with_columns(genuine=(pl.col("ratio") == 1) & (pl.col("dividend") == 0))
        .select(list(ACTION))
        .sort("symbol", "date", "ratio", "dividend")
    )


def nearest_ratio(previous_close: float, opened: float, *, split: bool = True) -> float:
    """The simple ratio nearest to a gap: 2 for an open at half the previous close.

    Args:
        previous_close: the last price before the gap.
        opened: the first price after it.
        split: whether there certainly was a split; if not, a ratio of 1 may be the nearest.
    """
    gap = math.log(previous_close / opened)
    return min(RATIOS if split else (1.0, *RATIOS), key=lambda ratio: abs(math.log(ratio) - gap))


def line(symbol: str, day: date, ratio: float) -> str:
    """A line of data/actions.csv."""
    text = io.StringIO()
    number = f"{ratio:.6f}".rstrip("0").rstrip(".")
    csv.writer(text, lineterminator="").writerow([symbol, day, number])
    return text.getvalue()


def suggested(moves: pl.DataFrame, market: Collection[str] = ()) -> str:
    """Lines that would explain each move, ready to be added to data/actions.csv.

    They explain it by a split, or declare it genuine in a market series, which has no splits.

    Args:
        moves: columns of `adjust.MOVE`, those that nothing explains.
        market: the names of the market series.
    """
    lines = []
    for move in moves.iter_rows(named=True):
        opened, previous = move["open"], move["previous_close"]
        change = 100 * (opened / previous - 1)
        lines.append(f"# {_price(previous)} -> {_price(opened)} ({change:+.1f} %)")
        ratio = 1.0 if move["symbol"] in market else _suggested_ratio(move)
        lines.append(line(move["symbol"], move["date"], ratio))
    return "\n".join([*lines, ""])


def unexplained(
    moves: pl.DataFrame, ledger: Path, suggestions: Path, market: Collection[str] = ()
) -> DataError:
    """The error for jumps that nothing explains, naming the line that would explain each.

    A market series has no splits: its jumps can only be declared genuine.

    Args:
        moves: columns of `adjust.MOVE`, those that nothing explains.
        ledger: the hand-kept file.
        suggestions: the file that holds `suggested(moves, market)`.
        market: the names of the market series.
    """
    reasons = [_reason(move, ledger, market) for move in moves.head(_IN_FULL).iter_rows(named=True)]
    adjusted = "" if set(moves["symbol"]) <= {*market} else _IF_ADJUSTED
    if len(reasons) == 1:
        return DataError(reasons[0] + adjusted)
    rest = moves.height - len(reasons)
    return DataError(
        f"{moves.height} jumps have no explanation: {'; '.join(reasons)}"
        + (f"; and {rest} more" if rest else "")
        + f"; {suggestions} holds a line for each as a split: check them one by one, then add "
        f"them to {ledger}" + _wild_lines(moves) + adjusted
    )


def doubtful(moves: pl.DataFrame, ledger: Path) -> DataError:
    """The error for jumps that no market made (`jumps.find`), naming the days and the remedy.

    Args:
        moves: columns of `adjust.MOVE`, those that are doubted.
        ledger: the hand-kept file.
    """
    doubts = [_doubt(move) for move in moves.iter_rows(named=True)]
    days = [f"{symbol} {day}" for symbol, day in moves.select("symbol", "date").iter_rows()]
    head = f"{len(days)} jumps are not moves of a market: " if len(days) > 1 else ""
    rest = f"; and {few(days[_IN_FULL:], _DAYS_NAMED)}" if len(days) > _IN_FULL else ""
    first = moves.row(0, named=True)
    genuine = line(first["symbol"], first["date"], 1)
    return DataError(
        f"{head}{'; '.join(doubts[:_IN_FULL])}{rest}; mend the source, or for a move that is "
        f'genuine add a line such as "{genuine}" to {ledger}' + _wild_lines(moves)
    )


def _doubt(move: Mapping[str, Any]) -> str:
    symbol, day, step, previous = (
        move[name] for name in ("symbol", "date", "step", "previous_close")
    )
    # A unit may change within the bar.
    name = max(("open", "close"), key=lambda name: abs(math.log(move[name] * step / previous)))
    verb, price = {"open": "opened", "close": "closed"}[name], move[name]
    text = (
        f"{symbol}: {day}: {verb} at {_price(price)} after a close of {_price(previous)} "
        f"({100 * (price * step / previous - 1):+.1f} %"
    )
    text += (
        ")" if abs(step - 1) < _ROUNDING else f" with the factor of {step:.4g} of its adj_close)"
    )
    ratio = price * step / previous
    return {
        "unit": f"{text}: its unit changes, by a factor near {_factor(ratio)}",
        "factor": f"{text}: {step:.4g} is neither a split nor a dividend",
        "returned": f"{text}: takes back the jump of {move['since']}, so the bars from that day "
        "until this one are in another unit, or wrong",
        "quiet": f"{text}, with too little volume and range for such news: a change of unit, or "
        f'a split ("{line(symbol, day, nearest_ratio(previous, price))}", which '
        "clean.adjustment: none ignores)",
    }[move["doubt"]]


def _factor(ratio: float) -> str:
    times = ratio if ratio > 1 else 1 / ratio
    power = 10.0 ** round(math.log10(times))
    text = f"{power if abs(times / power - 1) < _NEAR_POWER else times:.4g}"
    return text if ratio > 1 else f"1/{text}"


def _wild_lines(moves: pl.DataFrame) -> str:
    counts = moves.group_by("symbol").len().filter(pl.col("len") >= _WILD).sort("len", "symbol")
    wild = counts["symbol"].to_list()[-1:]
    return "".join(f'; "{symbol},,1" declares every move of {symbol} genuine' for symbol in wild)


def _reason(move: Mapping[str, Any], ledger: Path, market: Collection[str]) -> str:
    symbol, day, step = move["symbol"], move["date"], move["step"]
    change = move["open"] * step / move["previous_close"] - 1
    split, genuine = line(symbol, day, _suggested_ratio(move)), line(symbol, day, 1)
    opened = (
        f"{symbol}: {day}: opened at {_price(move['open'])} after a close of "
        f"{_price(move['previous_close'])}"
    )
    if symbol in market:
        return (
            f"{opened} ({100 * change:+.1f} %), and a market series has no splits; add "
            f'"{genuine}" to {ledger} if the move is genuine, or "{symbol},,1" for all of its moves'
        )
    if step == 1:
        return (
            f"{opened} ({100 * change:+.1f} %) and no action explains it; if it is a split or "
            f'bonus add "{split}" to {ledger}, if it is genuine add "{genuine}"'
        )
    return (
        f"{opened} and the action of that day (a ratio of {step:g}) leaves {100 * change:+.1f} %; "
        f'set it right by "{split}" in {ledger}, or if the rest is genuine by the two lines '
        f'"{line(symbol, day, step)}" and "{genuine}"'
    )


def _suggested_ratio(move: Mapping[str, Any]) -> float:
    return nearest_ratio(move["previous_close"], move["open"], split=move["step"] == 1)


def _price(price: float) -> str:
    return f"{price:.2f}" if price >= 1 else f"{price:.4g}"


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines that say something, split and stripped, each with its number from 1."""
    for number, text in enumerate(lines, 1):
        if text.strip() and not text.lstrip().startswith("#"):
            yield number, [field.strip() for field in next(csv.reader([text]))]


def _action(entry: Sequence[str], header: Sequence[str]) -> tuple[str, date | None, float, float]:
    if len(entry) not in (len(_NEEDED), len(header)):
        raise ValueError(f"has {len(entry)} fields under {len(header)} columns")
    symbol, day, *numbers = entry
    if not symbol:
        raise ValueError("has no symbol")
    try:
        when = date.fromisoformat(day) if day else None
    except ValueError:
        raise ValueError(f"{day!r} is not a date such as 2017-09-07") from None
    ratio = _number(numbers[0])
    dividend = _number(numbers[1]) if len(numbers) > 1 and numbers[1] else 0.0
    if ratio is None or ratio <= 0:
        raise ValueError(f"a ratio must be a number above 0, not {numbers[0]!r}")
    if dividend is None or dividend < 0:
        raise ValueError(f"a dividend must be a number not below 0, not {numbers[1]!r}")
    if when is None and (ratio != 1 or dividend):
        raise ValueError("has no date, which only a ratio of 1 may lack")
    return symbol, when, ratio, dividend


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
