"""Numbers as people write them: grouped, with a currency, or with a unit behind them."""

import re

import polars as pl

from stages.sources._cells import BadCells

_CURRENCY = r"\p{Sc}|[A-Z]{3}"
"""The sign of a currency, or its code in ISO 4217."""

_UNITS = {"K": "e3", "M": "e6", "B": "e9", "T": "e12"}
"""Letters behind a number, as investing.com writes volumes."""

_MISSING = ("", "-", "--", "na", "n/a", "nan", "null", "none")


def numbers(text: pl.Series, *, thousands: str, decimal: str, option: str) -> pl.Series:
    """Read numbers; an empty cell, NaN, NA, null, none or a dash is null.

    Digits must be grouped as thousands are, in threes and (India) twos, so that a decimal comma
    is never taken for one between thousands. `$31.20` and `1.10M` are read too.

    Raises:
        BadCells: a text is not a number, or stands in another currency than the others.
    """
    text = text.str.replace_all(r"[\u{a0}\u{2009}\u{202f}]", " ")
    plain = _without_currency(text)
    grouping = _grouping(thousands, decimal) if thousands else ""
    wrong = pl.Series([False]).new_from_index(0, len(text))
    if thousands:
        grouped = plain.str.contains(thousands, literal=True)
        if grouped.any():
            wrong = grouped & ~plain.str.contains(grouping)
            plain = plain.str.replace_all(thousands, "", literal=True)
    if decimal != ".":
        wrong |= plain.str.contains(".", literal=True)
        plain = plain.str.replace(decimal, ".", literal=True)
    values = plain.cast(pl.Float64, strict=False)
    if values.null_count() > text.null_count():
        # 1.10e6 is read to the last bit, 1.10 times a million is not.
        for unit, power in _UNITS.items():
            plain = plain.str.replace(rf"(?i)^([+-]?[\d.]*\d) ?{unit}$", f"${{1}}{power}")
        values = plain.cast(pl.Float64, strict=False)
    values = values.set(values.is_nan() | wrong, None)
    # Only what is not a number is checked again.
    odd = values.is_null() | values.is_infinite()
    absent = text.filter(odd).str.to_lowercase().is_in(_MISSING).fill_null(value=True)
    bad = odd.arg_true().filter(~absent).to_list()
    if bad:
        sample = text[bad[0]]
        raise BadCells(bad, f"{sample!r} is not a number; {_number_remedy(sample, option)}")
    return values


def _without_currency(text: pl.Series) -> pl.Series:
    """Take the sign of the currency away, where every number of the column bears the same.

    Raises:
        BadCells: some bear another, or none: they may be pence among pounds.
    """
    number = r"[+-]?[\d.,' ]*\d\.?(?: ?[A-Za-z])?"
    shape = rf"^([+-]?)\s*(?:({_CURRENCY})\s*)?({number})\s*({_CURRENCY})?$"
    if not text.str.contains(rf"^[+-]?\s*(?:{_CURRENCY})|(?:{_CURRENCY})$").any():
        return text
    parts = text.str.extract_groups(shape).struct
    before, behind = (parts.field(name).fill_null("") for name in ("2", "4"))
    counts = parts.field("3").is_not_null()
    marks = before + behind
    usual = [*marks.filter(counts).mode().sort(), ""][0]
    odd = (counts & (marks != usual)).arg_true().to_list()
    if odd:
        raise BadCells(
            odd,
            f"{text[odd[0]]!r} does not stand in {usual or 'no currency'} as the other numbers "
            "of this column do; export one currency",
        )
    plain = parts.field("1").fill_null("") + parts.field("3").fill_null("")
    return text.zip_with(~counts, plain)


def _grouping(thousands: str, decimal: str) -> str:
    t, d = re.escape(thousands), re.escape(decimal)
    return rf"^[+-]?\d{{1,3}}(?:{t}\d{{2,3}})*{t}\d{{3}}(?:{d}\d*)?[A-Za-z]?$"


def _number_remedy(sample: str, option: str) -> str:
    for mark in ",. '":
        other = "," if mark == "." else "."
        if mark in sample and re.match(_grouping(mark, other), sample):
            where = option.removesuffix("thousands")
            return (
                f"set {option} to {mark!r} and {where}decimal to {other!r} if these are thousands"
            )
    return "correct the file (an empty cell stands for no value)"
