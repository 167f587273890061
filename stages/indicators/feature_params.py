"""The section `features:` of `params.yaml`: the windows of every feature family."""

from typing import Annotated, Literal

from pydantic import AfterValidator, PositiveFloat

from stages.common.options import Options, distinct


def _windows(values: list[int]) -> list[int]:
    if any(value < 1 for value in values):
        raise ValueError(f"windows must be positive integers, got {values}")
    return distinct(values)


def _spreads(values: list[int]) -> list[int]:
    if any(value < 2 for value in values):  # noqa: PLR2004  # one value has no spread
        raise ValueError(f"windows of a spread must be at least 2, got {values}")
    return distinct(values)


def _macd(values: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    for fast, slow, signal in values:
        if not 1 <= fast < slow or signal < 1:
            entries = [list(value) for value in values]
            raise ValueError(
                f"each entry is [fast, slow, signal] with fast below slow, got {entries}"
            )
    return distinct(values)


def _decays(values: list[int]) -> list[int]:
    if any(not 1 <= value <= 99 for value in values):  # noqa: PLR2004  # percent
        raise ValueError(f"decays are percent, from 1 to 99, got {values}")
    return distinct(values)


Windows = Annotated[list[int], AfterValidator(_windows)]
Decays = Annotated[list[int], AfterValidator(_decays)]
Spreads = Annotated[list[int], AfterValidator(_spreads)]
Macd = Annotated[list[tuple[int, int, int]], AfterValidator(_macd)]


class FeatureParams(Options):
    """The windows of every feature family; an empty list leaves a family out."""

    lags: Windows
    sma: Windows
    ema: Windows
    momentum: Windows
    volatility: Spreads
    ewma_volatility: Decays
    high: Windows
    relative_volume: Windows
    rsi: Windows
    macd: Macd
    bollinger: Spreads
    bollinger_width: PositiveFloat
    atr: Windows
    range: Windows
    market_lags: Windows
    market_same_session: bool
    calendar: Annotated[
        list[Literal["day_of_week", "day_of_month", "month", "week_of_year", "quarter"]],
        AfterValidator(distinct),
    ]
    hourly_volatility: bool
