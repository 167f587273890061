"""Types of the sections of `params.yaml`.

A section is a class with `Options` as its base, beside the code that it configures. A data source
or a model is one function; its section follows from its signature, so that the two cannot
disagree.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

_T = TypeVar("_T")


class Options(BaseModel):
    """Base of every section: unknown keys are refused, values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def distinct(values: list[_T]) -> list[_T]:
    """Return the values.

    Raises:
        ValueError: an entry occurs twice.
    """
    if len({str(value) for value in values}) < len(values):
        raise ValueError(f"each entry may stand once, got {values}")
    return values


Names = Annotated[list[str], AfterValidator(distinct)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Share = Annotated[float, Field(gt=0, lt=1)]


def options_of(function: Callable[..., Any]) -> type[Options]:
    """Build the pydantic model of a function's keyword-only arguments and their defaults."""
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints[name], ... if p.default is inspect.Parameter.empty else p.default)
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    return create_model(function.__name__, __base__=Options, **fields)


def validated(function: Callable[..., Any], section: Mapping[str, Any]) -> dict[str, Any]:
    """Check a section against a function's signature.

    Returns the keyword arguments to call it with, defaults filled in.

    Raises:
        pydantic.ValidationError: a key, type or range is wrong.
    """
    model = options_of(function).model_validate(dict(section))
    return {name: getattr(model, name) for name in type(model).model_fields}
