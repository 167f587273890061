"""The part of a simulation that runs in its sandbox: `python -m monitor.simulation FOLDER`.

`python -m monitor simulate` makes the sandbox and starts this with the project of the sandbox as
the working folder, so that nothing here can reach the checkout of the user.
"""

import sys
import time
from pathlib import Path

import polars as pl

from monitor.settings import MonitorError
from monitor.simulation import timeline
from monitor.simulation.loop import Loop
from monitor.simulation.plan import Plan
from monitor.simulation.sandbox import Sandbox
from monitor.simulation.timeline import Timeline
from stages.common import running


def main() -> None:
    """Run the simulation of a folder, and write its results there."""
    (name,) = running.arguments("FOLDER")
    folder = Path(name)
    plan = Plan.model_validate_json((folder / "plan.json").read_text(encoding="utf-8"))
    # What retraining and rollback say is part of the story.
    running.log.setLevel("WARNING")
    story = Timeline()
    began = time.monotonic()
    loop = Loop(plan, Sandbox(Path.cwd()), pl.read_parquet(folder / "bars.parquet"), story)
    server = loop.run()
    loop.results(folder / "results")
    story.console.print()
    story.console.print(timeline.table(story.events))
    story.tell(
        f"{server.requests:,} forecasts were asked for, {len(server.lost):,} not answered; "
        f"{time.monotonic() - began:.0f} s"
    )
    if server.lost:
        raise MonitorError(f"the server lost a request: {server.lost[0]}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # of a terminal or file
    running.run(main)
