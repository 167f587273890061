"""What `python -m monitor drift` prints."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from monitor.commands import console_tables
from monitor.drift.drift_check import Drift
from monitor.drift.drift_comparison import Comparison
from monitor.drift.proxies import Proxy
from stages.common.errors import few


def lines(drift: Drift) -> Iterator[str]:
    """What was compared, and the verdict."""
    if drift.rows:
        yield (
            f"{drift.horizon}: {drift.rows:,} forecasts, bars of {drift.first} to {drift.last}, "
            f"against the training table of model {drift.model_md5[:8]}"
        )
    if drift.comparison is not None:
        verdict = "drift" if drift.alarm else "no drift"
        named = f" in {few(drift.drifted)}" if drift.drifted else ""
        yield (
            f"{drift.horizon}: {verdict}{named}; at most {drift.p:.1%} of such windows without "
            "drift differ as much"
        )
    if drift.report:
        yield f"{drift.horizon}: report in {drift.report}"
    if drift.problem is not None:
        yield f"{drift.horizon}: {drift.problem}"


def features(comparison: Comparison) -> Table:
    """One row a feature, the most unusual first."""
    columns = ("distance", "p", "relation", "relation p", "level", "level p", "missing")
    table = console_tables.empty("feature", *columns, "drifted", numbers=columns)
    for feature in sorted(
        comparison.features, key=lambda each: min(each.p, each.relation_p, each.level_p)
    ):
        table.add_row(
            feature.name,
            _short(feature.distance),
            _short(feature.p),
            _short(feature.relation),
            _short(feature.relation_p),
            _short(feature.level),
            _short(feature.level_p),
            f"{feature.missing:.0%}",
            "yes" if feature.drifted else "",
        )
    return table


def predictions(proxies: Sequence[Proxy]) -> Table:
    """One row a number of the forecasts."""
    columns = ("now", "usual", "p")
    table = console_tables.empty("forecasts", *columns, numbers=columns)
    for proxy in proxies:
        table.add_row(proxy.name, *map(_short, (proxy.value, proxy.usual, proxy.p)))
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
