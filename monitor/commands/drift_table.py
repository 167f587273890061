"""What `python -m monitor drift` prints."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from monitor.commands import console_tables
from monitor.drift.drift_check import Drift
from monitor.drift.drift_comparison import Comparison
from monitor.drift.proxies import Proxy
from stages.common.errors import few


def lines(found: Drift) -> Iterator[str]:
    """What was compared, and the verdict."""
    if found.rows:
        yield (
            f"{found.horizon}: {found.rows:,} forecasts, bars of {found.first} to {found.last}, "
            f"against the training table of model {found.model_md5[:8]}"
        )
    if found.comparison is not None:
        verdict = "drift" if found.alarm else "no drift"
        named = f" in {few(found.drifted)}" if found.drifted else ""
        yield (
            f"{found.horizon}: {verdict}{named}; at most {found.p:.1%} of such windows without "
            "drift differ as much"
        )
    if found.report:
        yield f"{found.horizon}: report in {found.report}"
    if found.problem is not None:
        yield f"{found.horizon}: {found.problem}"


def features(found: Comparison) -> Table:
    """One row a feature, the most unusual first."""
    columns = ("distance", "p", "relation", "relation p", "level", "level p", "missing")
    shown = console_tables.table("feature", *columns, "drifted", numbers=columns)
    for feature in sorted(
        found.features, key=lambda each: min(each.p, each.relation_p, each.level_p)
    ):
        shown.add_row(
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
    return shown


def predictions(found: Sequence[Proxy]) -> Table:
    """One row a number of the forecasts."""
    columns = ("now", "usual", "p")
    shown = console_tables.table("forecasts", *columns, numbers=columns)
    for proxy in found:
        shown.add_row(proxy.name, *map(_short, (proxy.value, proxy.usual, proxy.p)))
    return shown


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
