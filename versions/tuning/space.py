"""The `search:` section of `params.yaml`: what a search may try, one entry per dotted key."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from stages import params
from stages.common import mistakes
from stages.common.errors import ParamsError
from stages.common.options import Options
from stages.common.text import nearest
from versions.values import flat

DIGITS = 4
"""Significant digits of a number that is tried: more say nothing, and fill the table."""


def _choices(values: list[Any]) -> list[Any]:
    if any(isinstance(value, dict) for value in values):
        raise ValueError("a choice is a value or a list, not a mapping; search its keys one by one")
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
            raise ValueError("a log scale takes no step; leave one of the two out")
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
    """Values of any kind; each trial takes one."""

    choices: Annotated[list[Any], Field(min_length=2), AfterValidator(_choices)]


Entry = Integers | Numbers | Choices
Space = Mapping[str, Entry]
"""What may be tried, by dotted key."""


def load(content: Mapping[str, Any]) -> tuple[dict[str, Entry], dict[str, Any]]:
    """The space in the content of a `params.yaml`, and the value that each of its keys has now.

    Raises:
        ParamsError: another section is wrong; or the file lacks a key that `search:` names, or the
            key cannot be tried in that way.
    """
    sections = dict(params.parse(content))
    # A section whose keys are all commented out is None.
    written = {} if sections["search"] is None else sections["search"]
    if not isinstance(written, Mapping):
        raise ParamsError([f"search: must be a mapping of keys to values, got {written!r}"])
    known = flat({name: section for name, section in content.items() if name != "search"})
    current: dict[str, Any] = {}

    def check(key: str, section: object) -> Entry:
        if not isinstance(section, Mapping):
            raise ValueError(  # noqa: TRY004  # becomes one mistake of many
                f"must be a mapping with low and high, or choices, got {section!r}"
            )
        _check_key(key, known)
        current[key] = _value(key, sections)
        kind = _kind(section, current[key])
        try:
            return kind.model_validate(dict(section))
        except ValidationError as error:
            raise mistakes.NestedError(mistakes.listed(error, kind)) from None

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


def _value(key: str, sections: Mapping[str, Any]) -> Any:
    """The validated value of a key: where a number is wanted, the 10 of the file is 10.0."""
    first, *rest = key.split(".")
    value = sections[{"validate": "validate_"}.get(first, first)]
    for part in rest:
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def _kind(section: Mapping[str, Any], value: object) -> type[Entry]:
    if "choices" in section:
        return Choices
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"is {value!r}, not a number; give `choices` instead of a range"
        raise ValueError(message)  # noqa: TRY004  # becomes one mistake of many
    return Integers if isinstance(value, int) else Numbers


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna draws from, by dotted key; a choice is drawn as its JSON."""
    return {key: _distribution(entry) for key, entry in space.items()}


def _distribution(entry: Entry) -> BaseDistribution:
    if isinstance(entry, Choices):
        return CategoricalDistribution([json.dumps(value) for value in entry.choices])
    if isinstance(entry, Integers):
        return IntDistribution(entry.low, entry.high, entry.log, entry.step)
    return FloatDistribution(entry.low, entry.high, entry.log, entry.step)


def values(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """What a draw puts into `params.yaml`: numbers of `DIGITS` digits, within their range."""
    return {key: _rounded(entry, drawn[key]) for key, entry in space.items()}


def _rounded(entry: Entry, drawn: Any) -> Any:
    if isinstance(entry, Choices):
        return json.loads(drawn)
    if isinstance(entry, Integers):
        return int(drawn)
    return min(max(float(f"{drawn:.{DIGITS}g}"), entry.low), entry.high)
