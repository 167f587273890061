"""Run the benchmarks: `python -m benchmarks [names] [--bars ...] [--write]`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter

from benchmarks import (
    arrow,
    cold,
    dashboard,
    degradation,
    drift,
    features,
    gates,
    intervals,
    memory,
    monitor_window,
    parquet,
    rollback,
    serving,
    transfer,
    versions,
)
from benchmarks.panel import Panel
from benchmarks.report import Report, write

BENCHMARKS = {
    "features": "features against pandas and mlforecast",
    "parquet": "clean and features against reading and writing the same tables",
    "memory": "wall time and peak memory of every stage, on the largest panel",
    "datasets": "the way from raw bars to datasets at 25 million bars, stage by stage",
    "cold": "a cold `dvc repro` on the sample, stage by stage",
    "former": "a cold `dvc repro` against that of an earlier commit",
    "experiments": "the second of two experiments against the first",
    "versions": "no-op `dvc repro`, `dvc status` and `dvc exp run` against an empty pipeline",
    "rollback": "a roll back until every md5 is right, against plain copies",
    "transfer": "push and pull in MB/s, against `rclone copy`",
    "serving": "the server against an empty handler, mlflow and MLServer",
    "arrow": "an Arrow stream over HTTP against calling the ONNX session",
    "monitor": "labels and windows of live forecasts, by how many there are",
    "intervals": "the interval's scale against simpler ones and a GARCH, in the current folder",
    "degradation": "how often the monitor's evidence is wrong, and how soon right, in simulation",
    "gates": "promotions of an equal challenger, and labels until a better one is promoted",
    "dashboard": "how soon its pages are there, and what ten viewers cost, in the current folder",
    "drift": "false alarms, power and cost of the check for drift, in the current folder",
}


MEASURES: dict[str, Callable[[Sequence[Panel]], Report]] = {
    "features": features.measure,
    "parquet": parquet.measure,
    "memory": lambda panels: memory.measure(max(panels, key=attrgetter("bars"))),
    "datasets": lambda panels: memory.to_datasets(max(panels, key=attrgetter("bars"))),
    "cold": lambda _: cold.measure(),
    "former": lambda _: cold.against_former(),
    "experiments": lambda _: cold.second_experiment(),
    "versions": lambda _: versions.measure(),
    "rollback": lambda _: rollback.measure(),
    "transfer": lambda _: transfer.measure(),
    "serving": lambda _: serving.measure(),
    "arrow": lambda _: arrow.measure(),
    "monitor": lambda _: monitor_window.measure(),
    "intervals": lambda _: intervals.measure(),
    "degradation": lambda _: degradation.measure(),
    "gates": lambda _: gates.measure(),
    "dashboard": lambda _: dashboard.measure(),
    "drift": lambda _: drift.measure(),
}


BARS = (1_000_000, 10_000_000)
BARS_TO_DATASETS = (25_000_000,)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks that the command line names, and print their tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure stages and server against their peers; see benchmarks/README.md.",
        epilog="; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items())
        + ". Panels are made in a temporary folder (TMPDIR): about 8 GB for 10 million bars.",
    )
    parser.add_argument("names", nargs="*", help="which to run (default: all)", metavar="name")
    parser.add_argument(
        "--bars",
        nargs="+",
        type=int,
        help="sizes of the panels, in bars (default: 1000000 10000000; of datasets: 25000000)",
    )
    parser.add_argument(
        "--write", action="store_true", help="put the tables into benchmarks/README.md"
    )
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        default = BARS_TO_DATASETS if name == "datasets" else BARS
        panels = [Panel.of(bars) for bars in options.bars or default]
        sys.stderr.write(f"{name}: {BENCHMARKS[name]} ...\n")
        content = MEASURES[name](panels).markdown()
        print(f"\n{name}: {BENCHMARKS[name]}\n\n{content}\n", flush=True)
        if options.write:
            write(name, content)


if __name__ == "__main__":
    main()
