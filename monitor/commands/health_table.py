"""What the checks found, as a table."""

from rich.markup import escape
from rich.table import Table

from monitor.commands import console_tables
from monitor.health.verdicts import Health

_STYLES = {"ok": "green", "warning": "yellow", "critical": "bold red"}


def of(health: Health) -> Table:
    """One row a check: what was found, why it is not well, what to do."""
    table = console_tables.empty("check", "of", "status", "found, and what to do")
    for check in health.checks:
        remedy = f"\n-> {check.remedy}" if check.remedy else ""
        style = _STYLES[check.status]
        table.add_row(
            check.name,
            check.about.replace("horizon=", ""),
            f"[{style}]{check.status}[/{style}]",
            escape(f"{check.sentence}{remedy}"),
        )
    return table
