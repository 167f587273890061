"""What is wrong with a section of `params.yaml`: one clause per mistake, dotted key first."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from stages.common.errors import few
from stages.common.options import options_of, validated
from stages.common.text import nearest

_T = TypeVar("_T")

EVERYTHING = "params.yaml"
"""Named in place of a key where the whole file is wrong."""


class NestedError(ValueError):
    """Mistakes below the key that pydantic knows, each opening with the rest of its dotted key."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def options(function: Callable[..., Any], section: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a function that a section gives, checked.

    Raises:
        NestedError: a key, type or range is wrong.
    """
    try:
        return validated(function, section)
    except ValidationError as error:
        raise NestedError(listed(error, options_of(function))) from None


def each(
    sections: Mapping[str, dict[str, Any]],
    check: Callable[[str, Mapping[str, Any]], _T],
) -> dict[str, _T]:
    """Check every entry under its name.

    Raises:
        NestedError: the mistakes of all entries.
    """
    checked, mistakes = {}, []
    for name, section in sections.items():
        try:
            checked[name] = check(name, section)
        except ValueError as error:
            mistakes += below(name, error)
    if mistakes:
        raise NestedError(mistakes)
    return checked


def below(key: str, error: ValueError) -> list[str]:
    """The mistakes of an error, each with its dotted key in front."""
    if not isinstance(error, NestedError):
        return [f"{key}: {error}"]
    # A mistake in a section as a whole begins with the colon.
    joint = "" if not key else "."
    return [
        f"{key}{'' if mistake.startswith(':') else joint}{mistake}" for mistake in error.mistakes
    ]


def listed(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One clause for each mistake that pydantic reports of a section of type `root`."""
    return [line for detail in error.errors() for line in _lines(detail, root)]


def _lines(detail: ErrorDetails, root: type[BaseModel]) -> list[str]:
    kind, value = detail["type"], detail.get("input")
    path = [str(part) for part in detail["loc"]]
    where = ".".join(path)
    if kind == "value_error":
        return below(where, detail["ctx"]["error"])
    if kind == "extra_forbidden":
        return [f"{where}: unknown key{_nearest_key(path, root)}"]
    if kind == "missing":
        return [f"{where}: is missing"]
    if kind == "too_long":
        return [f"{where}: must have {detail['ctx']['max_length']} entries, got {value!r}"]
    if kind == "string_pattern_mismatch":
        name = where.removesuffix(".[key]")
        return [f"{name}: a name is made of a-z, 0-9 and _, and begins with a letter"]
    return [f"{where or EVERYTHING}: must be {_expected(detail)}, got {value!r}{_unquoted(detail)}"]


def _unquoted(detail: ErrorDetails) -> str:
    """The remedy where YAML has read a word or a ticker as something else than text."""
    value = detail.get("input")
    if detail["type"] != "string_type" or not isinstance(value, bool | int | float):
        return ""
    if isinstance(value, bool):
        return " (which is how YAML reads ON, yes, NO and the like); put quotes around it: 'ON'"
    return f"; put quotes around it, with every digit that it has: '{value}', '000001'"


def _expected(detail: ErrorDetails) -> str:
    """What the value should have been, in the words of a reader of YAML."""
    words = {
        "int": "an integer",
        "float": "a number",
        "date": "a date such as '2012-12-31'",
        "bool": "true or false",
        "list": "a list",
        "tuple": "a list",
        "dict": "a mapping of keys to values",
        "model": "a mapping of keys to values",
        "string": "text",
        "path": "a path",
    }
    family = detail["type"].split("_")[0]
    return words.get(family) or detail["msg"].removeprefix("Input should be ")


def _nearest_key(path: Sequence[str], root: type[BaseModel]) -> str:
    """A hint at the key that was meant, looked up in the section that the path leads to."""
    section = root
    for parent in path[:-1]:
        by_key = dict(_keys(section))
        annotation = by_key[parent].annotation if parent in by_key else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        section = annotation
    known = [key for key, _ in _keys(section)]
    return nearest(path[-1], known) or f"; there are {few(known, 20) or 'none'}"


def _keys(section: type[BaseModel]) -> Iterable[tuple[str, FieldInfo]]:
    return ((info.alias or name, info) for name, info in section.model_fields.items())
