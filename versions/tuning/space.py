"""What a search may try: the `search:` section of `params.yaml`, one entry per dotted key."""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import AfterValidator, Field, FiniteFloat, PositiveInt, model_validator

from stages.common.options import Options

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant digits of a number that is tried: more say nothing, and fill the table."""


def _choices(values: list[Any]) -> list[Any]:
    if any(isinstance(value, dict) for value in values):
        raise ValueError("a choice is a value or a list, no mapping; search its keys one by one")
    if len({json.dumps(value) for value in values}) < len(values):
        raise ValueError(f"each choice may stand once, got {values}")
    return values


class _Range(Options):
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        low, high = (cast("float", getattr(self, name)) for name in ("low", "high"))
        if low >= high:
            raise ValueError(f"low must be below high, got {low} and {high}")
        if self.log and low <= 0:
            raise ValueError(f"a log scale begins above 0, got low {low}")
        if self.log and "step" in self.model_fields_set:
            raise ValueError("a log scale has no step; leave one of the two out")
        return self


class Integers(_Range):
    """Integers from `low` to `high`, both included; `log` draws them by their ratios."""

    low: int
    high: int
    step: PositiveInt = 1


class Numbers(_Range):
    """Numbers from `low` to `high`; `log` draws them by their ratios, `step` from a grid."""

    low: FiniteFloat
    high: FiniteFloat
    step: Annotated[FiniteFloat, Field(gt=0)] | None = None


class Choices(Options):
    """Values of any kind, one of which is taken."""

    choices: Annotated[list[Any], Field(min_length=2), AfterValidator(_choices)]


Entry = Integers | Numbers | Choices


def kind(section: Mapping[str, Any], value: object) -> type[Entry]:
    """The kind of entry that suits a section and the typed value that the param has now.

    Raises:
        ValueError: a range for what is no number.
    """
    if "choices" in section:
        return Choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"is {value!r}, no number; give `choices` instead of a range"
        raise ValueError(message)  # noqa: TRY004  # becomes one mistake of many
    return Integers if isinstance(value, int) else Numbers


def check_key(key: str, content: Mapping[str, Any]) -> None:
    """See that the content of a `params.yaml` has a dotted key, which `-S` asks for.

    Raises:
        ValueError: it has no such key, or the key is that of a section.
    """
    known = list(_leaves(content))
    if key in known:
        return
    if any(name.startswith(f"{key}.") for name in known):
        raise ValueError("is a whole section; name the keys in it")
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "name keys like models.ridge.alpha"
    raise ValueError(f"params.yaml has no such key ({hint})")


def typed(key: str, sections: Mapping[str, Any]) -> Any:
    """The value of a dotted key in validated sections: of a number, 10 is 10.0 there."""
    first, *rest = key.split(".")
    value = sections[{"validate": "validate_"}.get(first, first)]
    for part in rest:
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def _leaves(content: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in content.items():
        if name == "search" and not above:
            continue
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def distributions(entries: Mapping[str, Entry]) -> "dict[str, BaseDistribution]":
    """What Optuna is to draw from, by dotted key; a choice is drawn as its JSON."""
    return {key: _distribution(entry) for key, entry in entries.items()}


def _distribution(entry: Entry) -> "BaseDistribution":
    from optuna import distributions as optuna

    if isinstance(entry, Choices):
        return optuna.CategoricalDistribution([json.dumps(value) for value in entry.choices])
    if isinstance(entry, Integers):
        return optuna.IntDistribution(entry.low, entry.high, entry.log, entry.step)
    return optuna.FloatDistribution(entry.low, entry.high, entry.log, entry.step)


def values(entries: Mapping[str, Entry], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a draw puts into `params.yaml`: numbers of `DIGITS` digits, within their range."""
    return {key: _value(entry, drawn[key]) for key, entry in entries.items()}


def _value(entry: Entry, drawn: Any) -> Any:
    if isinstance(entry, Choices):
        return json.loads(drawn)
    if isinstance(entry, Integers):
        return int(drawn)
    return min(max(float(f"{drawn:.{DIGITS}g}"), entry.low), entry.high)


def overrides(assigned: Mapping[str, Any]) -> list[str]:
    """The arguments of `dvc exp run` that set these values."""
    return [
        word for key, value in assigned.items() for word in ("--set-param", f"{key}={text(value)}")
    ]


def text(value: Any) -> str:
    """A value as `-S` takes it, and as a table shows it."""
    return json.dumps(value, separators=(",", ":"))
