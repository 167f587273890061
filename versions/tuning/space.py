"""The `search:` section of `params.yaml`: what a search may try, one entry per dotted key."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import FiniteFloat

from stages import params
from stages.common import mistakes
from stages.common.errors import ParamsError
from stages.common.text import nearest
from versions.values import compact, flat

DIGITS = 4
"""Significant digits of a number that is tried: more say nothing, and fill the table."""

Space = Mapping[str, BaseDistribution]
"""What Optuna draws from, by dotted key; a choice is drawn as its JSON."""


def integers(*, low: int, high: int, step: int = 1, log: bool = False) -> BaseDistribution:
    """Integers from `low` to `high`, both included; `log` draws them by their ratios."""
    return IntDistribution(low, high, log, step)


def numbers(
    *, low: FiniteFloat, high: FiniteFloat, step: FiniteFloat | None = None, log: bool = False
) -> BaseDistribution:
    """Numbers from `low` to `high`; `log` draws them by their ratios, `step` from a grid."""
    return FloatDistribution(low, high, log, step)


def choices(*, choices: list[Any]) -> BaseDistribution:
    """Values of any kind; each trial takes one."""
    if any(isinstance(value, dict) for value in choices):
        raise ValueError("a choice is a value or a list, not a mapping; search its keys one by one")
    texts = list(map(compact, choices))
    if len(set(texts)) < max(len(texts), 2):
        raise ValueError(f"choices: name at least two, each once, got {choices}")
    return CategoricalDistribution(texts)


def load(content: Mapping[str, Any], horizon: str) -> tuple[Space, dict[str, Any]]:
    """The space in the content of a `params.yaml`, and the value that each of its keys has now.

    Raises:
        ParamsError: another section is wrong or lacks the horizon; the file lacks a key that
            `search:` names, or the key cannot be tried in that way.
    """
    settings = params.parse(content)
    settings.sessions(horizon)
    # Validated: where a number is wanted, the 10 of the file is 10.0.
    validated = flat(settings.model_dump(by_alias=True, exclude={"search"}))
    # A section whose keys are all commented out is None.
    written = settings.search or {}
    if not isinstance(written, Mapping):
        raise ParamsError([f"search: must be a mapping of keys to values, got {written!r}"])
    known = flat({name: section for name, section in content.items() if name != "search"})
    current: dict[str, Any] = {}

    def check(key: str, section: object) -> BaseDistribution:
        if not isinstance(section, Mapping):
            raise ValueError(  # noqa: TRY004  # becomes one mistake of many
                f"must be a mapping with low and high, or choices, got {section!r}"
            )
        _check_key(key, known)
        current[key] = validated[key]
        kind = _kind(section, current[key])
        return kind(**mistakes.options(kind, section))

    try:
        return mistakes.each(written, check), current
    except ValueError as error:
        raise ParamsError(mistakes.below("search", error)) from None


def _check_key(key: str, known: Mapping[str, Any]) -> None:
    if key in known:
        return
    if any(name.startswith(f"{key}.") for name in known):
        raise ValueError("is a whole section; name the keys in it")
    hint = nearest(key, known) or " (name keys like models.ridge.alpha)"
    raise ValueError(f"params.yaml has no such key{hint}")


def _kind(section: Mapping[str, Any], value: object) -> Callable[..., BaseDistribution]:
    if "choices" in section:
        return choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"is {value!r}, not a number; give `choices` instead of a range"
        raise ValueError(message)  # noqa: TRY004  # becomes one mistake of many
    return integers if isinstance(value, int) else numbers


def values(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a draw puts into `params.yaml`: numbers of `DIGITS` digits, within their range."""
    return {key: _rounded(distribution, drawn[key]) for key, distribution in space.items()}


def _rounded(distribution: BaseDistribution, drawn: Any) -> Any:
    if isinstance(distribution, FloatDistribution):
        return min(max(float(f"{drawn:.{DIGITS}g}"), distribution.low), distribution.high)
    return json.loads(drawn) if isinstance(distribution, CategoricalDistribution) else drawn
