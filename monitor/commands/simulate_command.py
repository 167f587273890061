"""`python -m monitor simulate`: the whole loop on past data."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.commands import argument_types
from monitor.settings import MonitorError, Settings

if TYPE_CHECKING:
    from monitor.commands import Commands

RESULTS = Path("var/simulation")


def register(commands: "Commands") -> None:
    """Add the command."""
    from monitor.simulation.plan import FAULTS

    listed = "; ".join(f"{name}: {words}" for name, words in FAULTS.items())
    parser = commands.add_parser(
        "simulate",
        help="run the whole loop on past data, with faults",
        description="Copy the project into a folder of its own, and run the whole loop there on "
        "past bars with a simulated clock: refreshes, a real server, labels, checks, retraining, "
        "gates, rollback. The checkout stays as it is.",
        epilog=f"Faults: {listed}. A day after @ says when it begins: drift@2011-06-01.",
    )
    day = argument_types.day
    parser.add_argument("--from", type=day, required=True, dest="first", metavar="DAY")
    parser.add_argument("--to", type=day, required=True, dest="last", metavar="DAY")
    parser.add_argument("--step", type=int, default=21, help="sessions from check to check")
    parser.add_argument("--faults", default="", help="names with commas between them")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--small", action="store_true", help="one horizon, ridge alone, two folds, from 2005 on"
    )
    parser.add_argument("--name", default="simulation", help=f"of the folder in {RESULTS}/")
    parser.add_argument("--folder", type=Path, help="of the copy, which is kept")
    parser.set_defaults(run=run)


def run(_: Settings, arguments: argparse.Namespace) -> None:
    """Make the copy, run the simulation in it, and bring its results."""
    import shutil
    import subprocess
    import tempfile

    from pydantic import ValidationError

    from monitor.simulation import sandbox
    from monitor.simulation.plan import Plan

    options = {name: getattr(arguments, name) for name in Plan.model_fields if name != "faults"}
    faults = tuple(filter(None, arguments.faults.split(",")))
    try:
        plan = Plan(**options, faults=faults)
    except ValidationError as error:
        first = error.errors()[0]
        raise MonitorError(
            f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}"
        ) from None
    results = RESULTS / plan.name
    with tempfile.TemporaryDirectory(prefix="simulation-") as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        here, bars = sandbox.make(Path.cwd(), folder, plan)
        plan.periods(sandbox.sessions(bars))
        bars.write_parquet(folder / "bars.parquet")
        (folder / "plan.json").write_text(plan.model_dump_json(), encoding="utf-8")
        done = subprocess.run(  # noqa: S603  # no shell
            [sys.executable, "-m", "monitor.simulation", str(folder)],
            cwd=here.folder,
            env=here.environment,
            check=False,
        )
        if (folder / "results").exists():
            shutil.rmtree(results, ignore_errors=True)
            shutil.copytree(folder / "results", results)
            sys.stdout.write(f"events and pictures: {results}\n")
    if done.returncode:
        raise SystemExit(done.returncode)
