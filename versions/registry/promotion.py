"""Put versions into stages, and take them back.

The tag comes last. A command that is stopped before has at most pushed objects, and the next try
finds them in the remote.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stages.common.errors import VersionError, few
from versions.registry import history, release_plan, tags
from versions.registry.history import BACK, History
from versions.registry.release_plan import Plan
from versions.repository import revision
from versions.storage import remote_config, transfers
from versions.storage.transfers import Sent


@dataclass(frozen=True)
class Promotion:
    """The tag, the version, the one before it, and what was pushed."""

    tag: str
    version: str
    former: str | None
    sent: Sent


def promote(
    horizon: str, version: str, stage: str = "production", folder: Path | None = None
) -> Promotion:
    """Put a version into a stage, once the remote has every object of it.

    Raises:
        ParamsError: see `plan_promotion`.
        VersionError: likewise, or the remote lacks an object that is not here either.
    """
    return _assign(plan_promotion(horizon, version, stage, folder), folder)


def plan_promotion(
    horizon: str, version: str, stage: str = "production", folder: Path | None = None
) -> Plan:
    """What `promote` will do. It does not ask the remote which objects it lacks.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: the tree is not clean, the version is not registered or in that stage already,
            its `dvc.lock` does not match, or there is no remote.
    """
    record = _record(horizon, folder)
    release_plan.check_tree(folder)
    if not version:
        raise VersionError(f"VERSION is missing; {horizon} has {few(record.newest_first(), 10)}")
    version = version if version.startswith("v") else f"v{version}"
    if version not in record.versions:
        raise VersionError(
            f"{horizon} has no version {version}; there is {few(record.newest_first(), 10)}; "
            "`git fetch --tags` brings those of others"
        )
    former = record.current(stage)
    if former == version:
        raise VersionError(f"{horizon} {version} is in {stage} already")
    was = f"was {former}" if former else "the first"
    move = _Move(horizon, version, stage, record)
    return _plan(move, f"{horizon} {version} to {stage}, {was}", folder)


def rollback(horizon: str, stage: str = "production", folder: Path | None = None) -> Promotion:
    """Put the former version of a stage back, as a new assignment.

    Raises:
        ParamsError: see `plan_rollback`.
        VersionError: likewise, or as `promote`.
    """
    return _assign(plan_rollback(horizon, stage, folder), folder)


def plan_rollback(horizon: str, stage: str = "production", folder: Path | None = None) -> Plan:
    """What `rollback` will do.

    Raises:
        ParamsError: there is no such horizon.
        VersionError: nothing was there before, or as `plan_promotion`.
    """
    record = _record(horizon, folder)
    release_plan.check_tree(folder)
    current, version = record.current(stage), record.former(stage)
    if current is None:
        raise VersionError(
            f"no version of {horizon} is in {stage}, so a roll back has nothing to replace; "
            f"`make promote HORIZON={horizon} VERSION=...` puts one there"
        )
    if version is None:
        raise VersionError(
            f"{horizon} {current} is the first in {stage}: no version to go back to; "
            f"`make promote HORIZON={horizon} VERSION=...` puts any version there"
        )
    title = f"{horizon} back to {version} in {stage}\n\n{BACK} {current}"
    return _plan(_Move(horizon, version, stage, record), title, folder)


class _Move(NamedTuple):
    """A version, and the stage to put it into."""

    horizon: str
    version: str
    stage: str
    record: History


def _plan(move: _Move, message: str, folder: Path | None) -> Plan:
    if not tags.is_name(move.stage):
        raise VersionError(
            f"STAGE={move.stage}: the name of a stage has letters, digits, - and _ only, such as "
            "production"
        )
    registered = move.record.versions[move.version]
    release_plan.check_artifact(move.horizon, registered.commit, folder)
    revision.check(registered.name, folder)
    with remote_config.opened(folder):
        pass
    return Plan(
        tag=f"{move.horizon}#{move.stage}#{move.record.counter + 1}",
        commit=registered.commit,
        horizon=move.horizon,
        version=move.version,
        stage=move.stage,
        former=move.record.current(move.stage),
        message=message,
    )


def _assign(plan: Plan, folder: Path | None) -> Promotion:
    with remote_config.opened(folder) as remote:
        sent = transfers.push(remote, revision=f"{plan.horizon}@{plan.version}")
    tags.write(plan.tag, plan.commit, plan.message, folder)
    return Promotion(plan.tag, plan.version, plan.former, sent)


def _record(horizon: str, folder: Path | None) -> History:
    """The history of a horizon, even if it is no longer in `params.yaml`."""
    record = history.read(folder).get(horizon)
    if record is None or not record.versions:
        release_plan.check_horizon(horizon, folder)
        raise VersionError(
            f"{horizon} has no version yet; `make release HORIZON={horizon}` registers one, "
            "`git fetch --tags` brings those of others"
        )
    return record
