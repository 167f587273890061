"""What docs/self-healing.md says about an alert: the row of its rule in the runbook."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/self-healing.md")

_COLUMNS = 4
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@dataclass(frozen=True)
class Runbook:
    """A row of the runbook, in Markdown of this project.

    Attributes:
        means: what the alert means.
        look: where to look.
        do: what to type or to do.
    """

    means: str
    look: str
    do: str


def runbooks(text: str) -> dict[str, Runbook]:
    """The runbook of each rule.

    Args:
        text: of the page.
    """
    books = {}
    _, _, section = text.partition("\n## Runbook\n")
    # Links of the page lead to pages that the dashboard does not have.
    for line in _LINK.sub(r"\1", section).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == _COLUMNS:
            for rule in re.findall(r"`(\w+)`", cells[0]):
                books[rule] = Runbook(*cells[1:])
    return books


def read(page: Path = PAGE) -> dict[str, Runbook]:
    """The same of the page of this project; empty where it is not installed."""
    try:
        return runbooks(page.read_text(encoding="utf-8"))
    except OSError:
        return {}
