"""Turn the keyword-only arguments of a function into a validated section of `params.yaml`.

A data source or a model is one function; what it can be told in `params.yaml` is its own
signature, so that there is no second place to keep in step.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model


class Options(BaseModel):
    """Base of every section: unknown keys are refused, values are read once."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
