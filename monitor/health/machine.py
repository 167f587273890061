"""Disk, memory and processors of the machine."""

from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are one more package

from monitor.health.verdicts import Check, Status

DISK = "disk"
MEMORY = "memory"

_LITTLE = 5
"""What is below a threshold by this factor is critical."""


def disk(folder: Path) -> tuple[int, int]:
    """Free and all bytes of the disk of a folder, which need not be there yet."""
    usage = psutil.disk_usage(
        str(next(path for path in (folder, *folder.parents) if path.exists()))
    )
    return usage.free, usage.total


def memory() -> tuple[int, int]:
    """Free and all bytes of the memory."""
    usage = psutil.virtual_memory()
    return usage.available, usage.total


def processor() -> float:
    """Share of the processors that worked since this process last asked; at first 0."""
    return float(psutil.cpu_percent()) / 100


def check(name: str, free: int, total: int, least: float, remedy: str) -> Check:
    """Whether enough is free.

    Args:
        name: of the check.
        free, total: bytes.
        least: share that should be free.
        remedy: what to do otherwise.
    """
    share = free / total
    sentence = f"{share:.0%} free: {free / 2**30:,.1f} of {total / 2**30:,.1f} GiB"
    if share >= least:
        return Check(name, "ok", share, least, sentence)
    status: Status = "critical" if share < least / _LITTLE else "warning"
    return Check(name, status, share, least, sentence, remedy)
