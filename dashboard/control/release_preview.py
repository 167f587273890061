"""What a release, a promotion or a roll back will change, as its command says it before it acts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dashboard.control import command_process, run_commands
from dashboard.control.run_commands import Command
from dashboard.number_text import NOTHING, share
from monitor.settings import Settings
from stages.common.errors import VersionError
from stages.common.paths import MODELS
from versions.registry import registration
from versions.registry.registration import HEADLINE, Row
from versions.repository import lock


@dataclass(frozen=True)
class Preview:
    """What a command would do.

    Attributes:
        plan: its answer; None where it would refuse.
        problem: its line of error; empty where it would not.
    """

    plan: Mapping[str, Any] | None
    problem: str


def ask(
    command: Command, viewer_name: str, settings: Settings, folder: Path | None = None
) -> Preview:
    """Ask a command of `versions.release`, or the monitor's roll back, what it would do.

    It runs in a process of its own, because DVC is not safe in threads.

    Args:
        command: of `run_commands`.
        viewer_name: who asks.
        settings: of the monitor, whose audit trail notes it.
        folder: of the project; the working folder by default.

    Raises:
        MonitorError, NoAnswerError: it cannot be asked.
    """
    done = command_process.answer(run_commands.preview(command), viewer_name, settings, folder)
    if done.returncode == 0:
        return Preview(json.loads(done.stdout), "")
    lines = done.stderr.strip().splitlines()
    return Preview(None, lines[-1].removeprefix("error: ") if lines else "the command failed")


def graph_md5(commit: str, horizon: str, folder: Path | None = None) -> str | None:
    """The md5 of the graph of a horizon at a commit; None where its `dvc.lock` has none."""
    try:
        graph = lock.at(commit, folder).outs.get(str(MODELS / horizon / "model.onnx"))
    except VersionError:
        return None
    return None if graph is None else graph.md5


def number(value: float | None, metric: str) -> str:
    """A score with its unit: errors in percent of the price."""
    if value is None:
        return NOTHING
    if metric in ("mae", "rmse"):
        return share(value, 3)
    return f"{value:.3f}" if metric == "auc" else f"{value:+.4f}"


def versions_table(rows: Sequence[Row]) -> pl.DataFrame:
    """A row for each version, with its scores as text; the order is kept."""
    return pl.DataFrame(
        [
            {
                "horizon": row.horizon,
                "version": row.version,
                "stages": ", ".join(row.stages) or "-",
                "revision": row.commit[:7],
                "registered": f"{row.when:%Y-%m-%d %H:%M} UTC",
                "by": row.who,
                **{title: number(row.metrics.get(key), key) for key, title in HEADLINE.items()},
            }
            for row in rows
        ]
    )


def comparison(
    plan: Mapping[str, Any], rows: Sequence[Row], folder: Path | None = None
) -> pl.DataFrame:
    """The version that a plan replaces beside the one that it names, a fact in each row.

    Args:
        plan: of `ask`, with `horizon`, `version`, `former` and `commit`.
        rows: of every version.
        folder: of the project.
    """
    commits = {(row.horizon, row.version): row.commit for row in rows}
    former = commits.get((plan["horizon"], plan["former"]))
    now = _facts(plan["horizon"], plan["former"], former, folder)
    then = _facts(plan["horizon"], plan["version"], plan["commit"], folder)
    return pl.DataFrame(
        {"": list(then), "now": [now[name] for name in then], "then": list(then.values())}
    )


def _facts(
    horizon: str, version: str | None, commit: str | None, folder: Path | None
) -> dict[str, str]:
    scores = (commit and registration.scores(horizon, commit, folder)) or {}
    return {
        "version": version or "-",
        "revision": commit[:7] if commit else "-",
        "md5 of the graph": (commit and graph_md5(commit, horizon, folder)) or "-",
        **{title: number(scores.get(key), key) for key, title in HEADLINE.items()},
    }


def champion_comparison(plan: Mapping[str, Any]) -> pl.DataFrame:
    """What the monitor's roll back brings back, a row for each horizon.

    Args:
        plan: of `ask`.
    """
    return pl.DataFrame(
        [
            {
                "horizon": horizon,
                "md5 now": each["now"],
                "md5 then": each["then"],
                "version now": (each["plan"] or {}).get("former") or "-",
                "version then": (each["plan"] or {}).get("version") or "stays",
            }
            for horizon, each in plan["horizons"].items()
        ]
    )


def consequences(plan: Mapping[str, Any], served: str | None, md5: str | None) -> list[str]:
    """What follows from a plan of `versions.release`, a sentence or two in each line.

    Args:
        plan: of `ask`.
        served: the md5 of the graph that the server has; None if it does not answer.
        md5: of the graph of the version.
    """
    tag, version = plan["tag"], f"{plan['horizon']} {plan['version']}"
    if plan["stage"] is None:
        return [
            f"Makes the tag {tag} at the checked-out revision {plan['commit'][:7]}.",
            "No stage and no server changes by that.",
        ]
    promotes = f"Makes the tag {tag}: {version} is then in {plan['stage']}, on Home too."
    lines = [f"{promotes} The remote first gets what it lacks of it."]
    if served is None:
        lines.append("The server does not answer. It forecasts with the models checked out here.")
    elif served == md5:
        lines.append(f"The server forecasts with {version} already.")
    else:
        lines.append(
            f"The server goes on with the model that is checked out ({served[:8]}, not {version}). "
            "It follows when the revision is checked out, data and models too:"
        )
    return lines
