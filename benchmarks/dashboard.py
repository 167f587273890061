"""The dashboard: how soon a page is there, and what ten viewers cost those who ask for forecasts.

The pages are those of the current folder, and of a clone of it that has 500 symbols, in a browser
on this machine. Beside them is an app of Streamlit that writes one word: no page can be sooner. In
use, a viewer's browser is on another machine: here it has the lowest priority, so that it takes the
time that is left. One client asks `POST /predict/short` without a pause, in turns with and without
viewers.
"""

import json
import os
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # its stubs are one more package
from playwright.sync_api import Browser

from benchmarks import commands, load
from benchmarks.browser import Dashboard, chromium, empty_app, run_dashboard, visit
from benchmarks.load import Load
from benchmarks.many_symbols import widen
from benchmarks.report import Report, required
from dashboard.page_list import PAGES

MANY = 500
"""Symbols of the larger project."""
VIEWERS = 10
ROUNDS = 5
SECONDS = 6.0
LOADS = 5
WARM = 2.0
"""Seconds until a page is there, at most, once its answers are cached."""
SLOWER = 1.10
"""Median time of a forecast with viewers over that without, at most."""


def measure(rounds: int = ROUNDS, seconds: float = SECONDS, viewers: int = VIEWERS) -> Report:
    """Open every page, then race a client against itself with viewers.

    Raises:
        SystemExit: no browser is installed, or the server or the dashboard does not start.
    """
    times: dict[tuple[str, str], list[float]] = {}
    with chromium() as browser:
        with empty_app() as url:
            times["an empty app", "-"] = _times(browser, url)
        with _wide() as project, run_dashboard(project) as running:
            times |= _pages(browser, running)
        with run_dashboard(Path()) as running:
            times |= _pages(browser, running)
            _yield_to_others()
            alone, watched = [], []
            for _ in range(rounds):
                alone.append(_load(running.port, seconds))
                context = browser.new_context()
                for number in range(viewers):
                    path = list(PAGES.values())[number % len(PAGES)]
                    visit(context.new_page(), f"{running.url}/{path}")
                watched.append(_load(running.port, seconds))
                context.close()
            resident = psutil.Process(running.pid).memory_info().rss / 2**20
    return report(times, alone, watched, viewers, resident)


@contextmanager
def _wide() -> Iterator[Path]:
    """A clone of the project in the current folder, with its outputs and many symbols."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        commands.git(Path.cwd(), "clone", "--quiet", "--no-local", ".", str(project))
        shutil.copytree(Path(".dvc") / "cache", project / ".dvc" / "cache")
        commands.dvc(project, "checkout", "--quiet")
        widen(project, MANY)
        commands.dvc(project, "commit", "--quiet", "--force")
        yield project


def _pages(browser: Browser, running: Dashboard) -> dict[tuple[str, str], list[float]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/symbols") as answer:
        symbols = len(json.load(answer))
    return {
        (title, str(symbols)): _times(browser, f"{running.url}/{path}")
        for title, path in PAGES.items()
    }


def report(
    times: Mapping[tuple[str, str], Sequence[float]],
    alone: Sequence[Load],
    watched: Sequence[Load],
    viewers: int,
    resident: float,
) -> Report:
    """The table and the bounds.

    Args:
        times: seconds until a page is there, by its title and symbols, the first load first.
        alone: rounds without viewers.
        watched: the same rounds with them.
        viewers: how many.
        resident: memory of the dashboard at the end, in MB.
    """
    rows = [
        (*page, f"{seconds[0]:.2f}", f"{statistics.median(seconds[1:]):.2f}")
        for page, seconds in times.items()
    ]
    slowest = max(statistics.median(seconds[1:]) for seconds in times.values())
    slower = statistics.median(
        with_them.p50 / without.p50 for without, with_them in zip(alone, watched, strict=True)
    )
    p50, p99 = (
        [statistics.median(getattr(each, name) for each in loads) for loads in (alone, watched)]
        for name in ("p50", "p99")
    )
    findings = [
        f"The slowest page that is warm takes {slowest:.2f} s; {required(slowest, WARM)}.",
        (
            f"A forecast takes {p50[0]:.2f} ms (p99 {p99[0]:.2f}) alone, and {p50[1]:.2f} ms (p99 "
            f"{p99[1]:.2f}) with {viewers} viewers: {slower:.2f} times as long; "
            f"{required(slower, SLOWER)}."
        ),
        f"The dashboard has {resident:.0f} MB of memory then.",
    ]
    return Report(
        ("page", "symbols", "first, s", "warm, s"),
        rows,
        findings,
        ("streamlit", "plotly", "playwright"),
    )


def _yield_to_others() -> None:
    """Let the browser take only the time that nobody else wants."""
    for child in psutil.Process(os.getpid()).children(recursive=True):
        with suppress(psutil.Error):
            if "chrom" in child.name():
                child.nice(19)


def _load(port: int, seconds: float) -> Load:
    return load.measure(port, "/predict/short", {}, clients=1, seconds=seconds)


def _times(browser: Browser, url: str) -> list[float]:
    context = browser.new_context()
    page = context.new_page()
    times = []
    for _ in range(LOADS):
        began = time.perf_counter()
        visit(page, url)
        times.append(time.perf_counter() - began)
    context.close()
    return times
