"""The commands that Pipeline Control can run: a fixed list, with checked arguments.

Nobody can type a command. Every argument is a date, a switch, a name or a value of params, it is
checked here, and it is one word of a command line that no shell reads.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from stages.common.errors import StageError
from stages.common.text import unknown
from versions.registry.registration import Bump
from versions.repository import pipeline
from versions.values import compact

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,58}[A-Za-z0-9])?")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_VERSION = re.compile(r"v?\d+\.\d+\.\d+(-[A-Za-z0-9.]+)?")
_SPECIAL = frozenset("\\\"'$")
"""Characters with a meaning in a string of `dvc exp run -S`, even within quotes."""

_BUMPS = ("major", "minor", "patch")


class CommandError(StageError):
    """An argument of a command is not allowed."""


@dataclass(frozen=True)
class Command:
    """A command that may be run.

    Attributes:
        title: what it does, in a line.
        words: what follows `python -m`.
        locks: whether it takes the lock of the monitor's work itself.
    """

    title: str
    words: tuple[str, ...]
    locks: bool = False


def status() -> Command:
    """`dvc status`: what has changed of each stage."""
    return Command("Ask what has changed", ("dvc", "status", "--json"))


def preview(command: Command) -> Command:
    """What one of the commands below would do; it does nothing.

    Args:
        command: of `versions.release`, or the monitor's roll back.
    """
    return Command(f"Ask what it would change: {command.title}", (*command.words, "--dry-run"))


def reproduce(stages: Sequence[str] = (), folder: Path | None = None) -> Command:
    """`dvc repro`, of the whole pipeline or of some stages and what they need.

    Args:
        stages: by the names of `dvc.lock`, such as `train@short-ridge`.
        folder: of the project; the working folder by default.

    Raises:
        CommandError: `dvc.yaml` has no such stage.
    """
    known = pipeline.stage_names(folder)
    for stage in stages:
        if stage not in known:
            raise CommandError(unknown("stage", stage, known))
    title = "Reproduce " + (", ".join(stages) if stages else "the pipeline")
    # Whoever asks DVC for the state of the pipeline holds its lock for a second or two.
    return Command(title, ("dvc", "--wait-for-lock", "repro", *stages))


def refresh(as_of: date, keep_models: bool = False) -> Command:
    """Move `data.as_of` to a day, and reproduce.

    Args:
        as_of: the newest session that the pipeline may know.
        keep_models: bring the bars, and leave the models as they are.

    Raises:
        CommandError: it is not a date.
    """
    if type(as_of) is not date:
        raise CommandError(f"as_of: must be a date, got {as_of!r}")
    option = ("--keep", "models") if keep_models else ()
    suffix = ", keep the models" if keep_models else ""
    return Command(
        f"Refresh to {as_of.isoformat()}{suffix}", ("versions.refresh", as_of.isoformat(), *option)
    )


def experiment(name: str, changes: Mapping[str, Any]) -> Command:
    """An experiment with changed params, run in a folder of its own: the workspace stays as it is.

    Args:
        name: of the experiment; letters, digits, - and _.
        changes: values by dotted key: numbers, text, dates, switches, None, and lists of them.

    Raises:
        CommandError: the name, a key or a value cannot be one.
    """
    _check(_NAME, name, "the name of an experiment has letters, digits, - and _, such as wide-1")
    words = [f"--set-param={_key(key)}={_value(key, value)}" for key, value in changes.items()]
    return Command(
        f"Experiment {name}",
        ("dvc", "--wait-for-lock", "exp", "run", "--temp", f"--name={name}", *words),
    )


def register(horizon: str, bump: Bump = "minor") -> Command:
    """Make the checked-out revision the next version of a horizon.

    Raises:
        CommandError: an argument cannot be one.
    """
    if bump not in _BUMPS:
        raise CommandError(unknown("bump", bump, _BUMPS))
    words = ("versions.release", "register", _horizon(horizon), "--bump", bump)
    return Command(f"Register the next {bump} version of {horizon}", words)


def promote(horizon: str, version: str, stage: str = "production") -> Command:
    """Put a version of a horizon into a stage.

    Raises:
        CommandError: an argument cannot be one.
    """
    _check(_VERSION, version, "a version is one such as v1.2.0")
    words = ("versions.release", "promote", _horizon(horizon), version, "--stage", _stage(stage))
    return Command(f"Promote {horizon} {version} to {stage}", words)


def rollback(horizon: str, stage: str = "production") -> Command:
    """Put the former version of a stage back.

    Raises:
        CommandError: an argument cannot be one.
    """
    words = ("versions.release", "rollback", _horizon(horizon), "--stage", _stage(stage))
    return Command(f"Roll {horizon} back in {stage}", words)


def champion_rollback(by: str) -> Command:
    """Bring the models back that served before the monitor's last promotion, and their versions.

    Args:
        by: who asks for it; the decision names them.

    Raises:
        CommandError: the name cannot be one.
    """
    if not by.strip() or not by.isprintable():
        raise CommandError(f"{by!r}: the name of who asks must be printable text")
    return Command("Bring the former champion back", ("monitor", "rollback", f"--by={by}"), True)


def _horizon(name: str) -> str:
    return _check(_NAME, name, "the name of a horizon has letters, digits, - and _, such as short")


def _stage(name: str) -> str:
    return _check(_NAME, name, "the name of a stage has letters, digits, - and _")


def _check(pattern: re.Pattern[str], text: object, remedy: str) -> str:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise CommandError(f"{text!r}: {remedy}")
    return text


def _key(key: str) -> str:
    return _check(_KEY, key, "a key of params.yaml has dots between its names, such as train.seed")


def _value(key: str, value: object) -> str:
    """A value as Hydra's grammar takes it, in which `dvc exp run -S` is written."""
    return compact(_plain(key, value))


def _plain(key: str, value: object) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(key, each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and value.isprintable() and not _SPECIAL & set(value):
        return value
    raise CommandError(
        f"{key}: {value!r} cannot be set here; numbers, dates, true, false, null, and text without "
        "quotes, $ and \\ can, and lists of them; edit params.yaml for the rest"
    )
