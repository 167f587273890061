"""Tables in Markdown, between markers in benchmarks/README.md."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).with_name("README.md")

_GIB = 2**30


@dataclass(frozen=True)
class Report:
    """The results of a benchmark.

    Attributes:
        header: of the table; the first `texts` columns are text, the others figures.
        rows: as long as the header.
        findings: sentences below the table: each bound, and whether it is met.
        packages: whose versions the report names.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    findings: Sequence[str]
    packages: Sequence[str]
    texts: int = 1

    def markdown(self) -> str:
        """The table, the findings and the machine."""
        widths = [
            max(len(cell) for cell in column)
            for column in zip(self.header, *self.rows, strict=True)
        ]
        rules = [
            "-" * width if index < self.texts else "-" * (width - 1) + ":"
            for index, width in enumerate(widths)
        ]
        lines = [self._line(row, widths) for row in (self.header, rules, *self.rows)]
        lines += ["", *(f"- {finding}" for finding in self.findings)]
        return "\n".join([*lines, "", f"Measured on {machine(self.packages)}."])

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = [
            cell.ljust(width) if index < self.texts else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"


def machine(packages: Sequence[str]) -> str:
    """Cores, memory, processor, system and versions; never the name of the machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    parts = [
        f"{os.cpu_count()} cores",
        f"{memory:.0f} GiB of memory",
        _processor(),
        platform.system(),
        f"Python {platform.python_version()}",
        *versions,
    ]
    return ", ".join(parts)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


def required(value: float, bound: float, *, at_least: bool = False) -> str:
    """The bound of a figure, and whether it is met."""
    met = value >= bound if at_least else value <= bound
    return (
        f"{'at least' if at_least else 'at most'} {bound:g} required: {'met' if met else 'MISSED'}"
    )


def insert(text: str, name: str, content: str) -> str:
    """Replace the text between the markers of a benchmark.

    Raises:
        ValueError: the text has no such markers.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    head, opened, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{README.name} has no markers {begin.strip()} and {end}")
    return f"{head}{begin}\n{content}\n\n{end}{tail}"


def write(name: str, content: str) -> None:
    """Put a benchmark's report into the README."""
    README.write_text(insert(README.read_text(encoding="utf-8"), name, content), encoding="utf-8")
