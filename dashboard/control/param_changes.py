"""What was changed in the form for `params.yaml`, checked as the pipeline checks the file."""

import copy
import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dashboard.control.param_fields import ParamField
from stages import params
from stages.common.errors import ParamsError
from stages.params import Params
from versions.values import compact

Entered = bool | int | float | str | date | list[str] | None
"""What a widget gives: a list as `5, 20`, null as nothing."""

MULTIPLE = ("choices", "texts")
"""Kinds whose widget gives a list of text."""


def widget_value(field: ParamField) -> Entered:
    """A value of the file as its widget shows it."""
    value = field.value
    if field.kind in MULTIPLE:
        return list(map(str, value or ()))
    if field.kind == "list":
        return compact(value)[1:-1].replace(",", ", ") if value else ""
    if as_text(field):
        return "" if value is None else str(value)
    if field.kind == "day":
        return date.fromisoformat(str(value))
    entered: Entered = value
    return entered


def as_text(field: ParamField) -> bool:
    """Whether the value is entered as text; an empty one is null where null is a value."""
    single = field.kind not in MULTIPLE and field.kind != "list"
    return field.kind == "text" or (field.optional and single)


def value(field: ParamField, entered: Entered) -> Any:
    """What a widget gave, as `params.yaml` has it.

    Raises:
        ParamsError: the text is not a value of this kind.
    """
    if field.optional and entered in ("", [], None):
        return None
    if entered is None:
        raise ParamsError([f"{field.key}: is missing"])
    if field.kind == "list":
        return _list(field, str(entered))
    if field.kind in ("integer", "number") and isinstance(entered, str):
        try:
            return int(entered) if field.kind == "integer" else float(entered)
        except ValueError:
            raise ParamsError([f"{field.key}: must be a number, got {entered!r}"]) from None
    if field.kind == "number":
        return float(entered)  # type: ignore[arg-type]  # of a widget for numbers
    return str(entered) if isinstance(entered, date) else entered


def _list(field: ParamField, text: str) -> Any:
    try:
        return json.loads(f"[{text}]", parse_constant=_refused)
    except ValueError:
        raise ParamsError(
            [f"{field.key}: must be a list such as {widget_value(field) or '5, 20'}, got {text!r}"]
        ) from None


def _refused(name: str) -> None:
    raise ValueError(name)


def changes(fields: Sequence[ParamField], entered: Mapping[str, Entered]) -> dict[str, Any]:
    """The values that differ from those of the file, by dotted key.

    Args:
        fields: of the form.
        entered: what the widgets gave, by key; those that were never touched may be missing.

    Raises:
        ParamsError: see `value`; all mistakes in one line.
    """
    changed: dict[str, Any] = {}
    mistakes: list[str] = []
    for field in fields:
        if field.key not in entered or entered[field.key] == widget_value(field):
            continue
        try:
            changed[field.key] = value(field, entered[field.key])
        except ParamsError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ParamsError(mistakes)
    former = {field.key: field.value for field in fields}
    return {key: new for key, new in changed.items() if new != former[key]}


def applied(content: Mapping[str, Any], changed: Mapping[str, Any]) -> Params:
    """The params after the changes.

    Args:
        content: of the present `params.yaml`; stays as it is.
        changed: by dotted key.

    Raises:
        ParamsError: the pipeline would refuse them.
    """
    new: Any = copy.deepcopy(dict(content))
    for key, value in changed.items():
        *above, name = key.split(".")
        section = new
        for part in above:
            section = section[part]
        section[name] = value
    return params.parse(new)
