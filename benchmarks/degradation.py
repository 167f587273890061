"""How often evidence is wrong, and how soon it is right, in simulated markets.

Each market has four symbols whose returns share a GARCH(1,1) with noise of four degrees of freedom,
and one crisis in which prices move three times as far. The evidence is computed on every date: the
greatest up to a date is what somebody has seen who looks every day.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.report import Report, required
from monitor.evidence import evidence
from monitor.performance import degradation, yardstick
from monitor.performance.yardstick import Span
from stages.forecast.scoring.spread import Spread, crps, spread

Array = npt.NDArray[np.float64]

MARKETS = 200
ERROR, TOLERANCE, LEVEL = 0.05, 0.03, 0.9
SYMBOLS = ("A", "B", "C", "D")
TRAINED, HELD_OUT, LIVE = 1_000, 500, 1_000
"""Dates of the training, of the hold-out and of the live forecasts."""

LONGEST = 63
"""Sessions of the longest horizon."""

CRISIS, AFTER = 200, 300
"""Dates of a crisis, and those before it among the live ones."""

SHARED = 0.6
"""Correlation of the symbols' noise."""


@dataclass(frozen=True)
class Market:
    """Returns (dates, symbols), and the standard deviation that was known before each."""

    returns: Array
    deviation: Array


@lru_cache(MARKETS)
def market(seed: int, dates: int, crisis: int) -> Market:
    """Simulate a market whose crisis begins at a date."""
    times = np.ones(dates)
    times[crisis : crisis + CRISIS] = 3
    random = np.random.default_rng(seed)
    noise = random.standard_t(4, (dates, len(SYMBOLS) + 1)) / math.sqrt(2)
    shocks = math.sqrt(SHARED) * noise[:, :1] + math.sqrt(1 - SHARED) * noise[:, 1:]
    variance = np.full(len(SYMBOLS), 1.0)
    returns, deviation = np.empty_like(shocks), np.empty_like(shocks)
    for day, shock in enumerate(shocks):
        deviation[day] = np.sqrt(variance) * times[day]
        returns[day] = deviation[day] * shock
        own = (returns[day] / times[day]) ** 2
        variance = 0.02 + 0.08 * np.minimum(own, 50) + 0.9 * variance
    return Market(0.01 * returns, 0.01 * deviation)


def targets(returns: Array, sessions: int) -> Array:
    """Returns of the next sessions from each date, NaN where they are not known."""
    sums = np.vstack((np.zeros(returns.shape[1]), np.cumsum(returns, axis=0)))
    ahead = np.full_like(returns, np.nan)
    ahead[: len(returns) - sessions] = sums[sessions + 1 :] - sums[1:-sessions]
    return ahead


def known_deviation(market: Market, sessions: int) -> Array:
    """What a model that knows the market says of the spread of the next sessions."""
    ahead = np.vstack((market.deviation[1:], market.deviation[-1:]))
    return ahead * math.sqrt(sessions)


def days(count: int) -> list[date]:
    """Dates of a simulation."""
    return [date(2000, 1, 3) + timedelta(days=n) for n in range(count)]


def simulated(seed: int, *, early: bool = False) -> Market:
    """A market long enough for every horizon."""
    crisis = TRAINED + HELD_OUT // 5 if early else TRAINED + HELD_OUT + AFTER
    return market(seed, TRAINED + HELD_OUT + LIVE + 2 * LONGEST, crisis)


@dataclass(frozen=True)
class Setting:
    """What a live model meets.

    Attributes:
        target, scale: of the live dates, (dates, symbols); the scale is that of a model that knows
            the spread.
        own: the distribution of its errors.
        base: `symbol, date, base_crps`, the losses of the yardstick on the live dates.
        ratio: CRPS of the model over the yardstick's on its hold-out.
    """

    target: Array
    scale: Array
    own: Spread
    base: pl.DataFrame
    ratio: float


@lru_cache(MARKETS)
def setting(seed: int, sessions: int, *, early: bool) -> Setting:
    """A market, the yardstick in it and a model that knows the spread.

    Args:
        seed: of the market.
        sessions: of the horizon.
        early: whether the crisis is in the hold-out and not among the live dates.
    """
    market = simulated(seed, early=early)
    total = len(market.returns)
    stamps = days(total)
    target, scale = targets(market.returns, sessions), known_deviation(market, sessions)
    bars = pl.DataFrame(
        {
            "symbol": np.repeat(SYMBOLS, total),
            "date": stamps * len(SYMBOLS),
            "adj_close": np.exp(np.cumsum(market.returns, axis=0)).T.reshape(-1),
        }
    )
    rows = yardstick.prepared(bars, sessions)
    span = Span(SYMBOLS, stamps[0], stamps[TRAINED - 1 - sessions])
    means, base = yardstick.fitted(rows, span, LEVEL)
    losses = yardstick.forecasts(rows.drop_nulls("target"), means, base, LEVEL)
    losses = losses.select("symbol", "date", base_crps="crps")
    trained, held_out = slice(0, TRAINED - sessions), slice(TRAINED, TRAINED + HELD_OUT)
    first = TRAINED + HELD_OUT + sessions
    live = slice(first, first + LIVE)
    own = spread((target[trained] / scale[trained]).reshape(-1), LEVEL)
    known = losses.filter(pl.col("date").is_in(stamps[held_out]))["base_crps"].to_numpy()
    ratio = _crps(target[held_out], scale[held_out], own).mean() / known.mean()
    base_rows = losses.filter(pl.col("date").is_in(stamps[live])).sort("date", "symbol")
    return Setting(target[live], scale[live], own, base_rows, float(ratio))


def costs(
    seed: int,
    sessions: int,
    spoiled: Callable[[Array, Array], tuple[Array, Array]],
    *,
    early: bool = False,
) -> pl.DataFrame:
    """Live costs of a model that knows the spread, spoiled while it is live.

    Args:
        seed: of the market.
        sessions: of the horizon.
        spoiled: forecasts and scales from true forecasts (all zero) and true scales.
        early: as in `setting`.

    Returns:
        As `degradation.excess` gives them, with the ratio of a hold-out that was not spoiled.
    """
    known = setting(seed, sessions, early=early)
    forecast, scale = spoiled(np.zeros_like(known.scale), known.scale)
    losses = _crps(known.target - forecast, scale, known.own).reshape(-1)
    rows = known.base.with_columns(crps=pl.Series(losses), model_md5=pl.lit("a"))
    return degradation.excess(rows, {"a": known.ratio}, TOLERANCE)


def _crps(error: Array, scale: Array, own: Spread) -> Array:
    flat: Array = crps((error / scale).reshape(-1), own.grid)
    return flat.reshape(scale.shape) * scale


def _noise(part: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    def spoil(forecast: Array, scale: Array) -> tuple[Array, Array]:
        draws = np.random.default_rng(0).standard_normal(scale.shape)
        return forecast + part * draws * scale, scale

    return spoil


def _scaled(times: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    return lambda forecast, scale: (forecast, times * scale)


SAME = "as on the hold-out"

LIVE_MODELS: Mapping[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    SAME: _scaled(1.0),
    "scale 1.5 times too wide": _scaled(1.5),
    "scale twice too wide": _scaled(2.0),
    "scale half as wide": _scaled(0.5),
    "forecasts of noise, half a deviation": _noise(0.5),
    "forecasts of noise, a deviation": _noise(1.0),
}


def gains(seed: int, sessions: int, known: float) -> pl.DataFrame:
    """Squared error that a challenger saves, in a market.

    Args:
        seed: of the market.
        sessions: of the horizon.
        known: part of the target that it alone knows, in deviations; 0 if it is equal.
    """
    market = simulated(seed)
    live = slice(TRAINED + HELD_OUT, TRAINED + HELD_OUT + LIVE)
    scale = known_deviation(market, sessions)[live]
    target = targets(market.returns, sessions)[live]
    random = np.random.default_rng(seed)
    first, second, part = random.standard_normal((3, *scale.shape)) * scale
    champion, challenger = 0.1 * first, 0.1 * second + known * part
    target = target + known * part
    gain = ((target - champion) ** 2 - (target - challenger) ** 2).mean(axis=1)
    return pl.DataFrame({"date": days(LIVE), "gain": gain})


def convinced(gains: pl.DataFrame, sessions: int, restart: int | None) -> int | None:
    """After how many dates the evidence convinces, if it ever does."""
    if not evidence(gains, sessions, restart).convinces(ERROR):
        return None
    few, enough = 0, gains.height
    while enough - few > 1:
        middle = (few + enough) // 2
        if evidence(gains.head(middle), sessions, restart).convinces(ERROR):
            enough = middle
        else:
            few = middle
    return enough


@dataclass(frozen=True)
class Case:
    """A line of the table: `true` where there is nothing to find."""

    what: str
    name: str
    sessions: int
    true: bool
    gains: Callable[[int], pl.DataFrame]
    restart: int | None = None


def cases(horizons: tuple[int, ...]) -> Iterator[Case]:
    """Everything that is simulated."""
    for sessions in horizons:
        yield Case(
            "degradation",
            f"{SAME}, which had a crisis",
            sessions,
            true=True,
            gains=lambda seed, n=sessions: costs(seed, n, _scaled(1.0), early=True),  # type: ignore[misc]
            restart=degradation.restart(sessions),
        )
        for name, spoiled in LIVE_MODELS.items():
            yield Case(
                "degradation",
                name,
                sessions,
                name == SAME,
                lambda seed, n=sessions, s=spoiled: costs(seed, n, s),  # type: ignore[misc]
                degradation.restart(sessions),
            )
        for part in (0.0, 0.1, 0.2, 0.3):
            skill = part**2 / (1 + part**2)
            yield Case(
                "challenger",
                f"R2 {skill:.3f} better" if part else "no better",
                sessions,
                not part,
                lambda seed, n=sessions, p=part: gains(seed, n, p),  # type: ignore[misc]
            )


def measure(markets: int = MARKETS, horizons: tuple[int, ...] = (1, 5, LONGEST)) -> Report:
    """Every case in so many markets."""
    rows, findings = [], []
    for case in cases(horizons):
        counts = [
            convinced(case.gains(seed), case.sessions, case.restart) for seed in range(markets)
        ]
        dates = sorted(count for count in counts if count is not None)
        share = len(dates) / markets
        rows.append(
            (
                *(case.what, case.name, str(case.sessions), f"{share:.1%}"),
                *(_after(dates, markets, part) for part in (0.5, 0.9)),
            )
        )
        if case.true:
            findings.append(
                f"{case.what}, {case.name}, sessions {case.sessions}: {share:.3f} of {markets} "
                f"markets with nothing to find; {required(share, ERROR)}."
            )
    header = ("evidence of", "live", "sessions", "found", "half by date", "90 % by date")
    return Report(header, rows, findings, ("numpy", "polars"), texts=2)


def _after(dates: list[int], markets: int, part: float) -> str:
    """The date by which a part of all markets has convinced."""
    needed = math.ceil(part * markets)
    return f"{dates[needed - 1]:,}" if len(dates) >= needed else "-"
