"""The fields of a form for `params.yaml`, from the pydantic models that check it.

Their JSON schema has the types, ranges and choices. A field is made for each value that the file
has; to add a key, a model or a horizon, edit the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from stages import params
from stages.params import Params

Kind = Literal["flag", "integer", "number", "choice", "choices", "day", "text", "texts", "list"]
"""`choices` and `texts` are lists of text, of which the first has a fixed set; `list` is any other
list, such as one of windows."""

LEFT_OUT: Final = ("monitor", "search")
"""Sections that no stage reads."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class ParamField:
    """One value of `params.yaml`.

    Attributes:
        key: dotted, as `dvc exp run -S` takes it.
        kind: of its value.
        value: as the file has it; a number is an int or a float as its kind says.
        minimum: the lowest value, or the limit that it must exceed; None without one.
        maximum: likewise.
        open_minimum: whether the value must exceed the minimum.
        open_maximum: whether the value must stay below the maximum.
        choices: the texts that it may have; empty without such a set.
        optional: whether null is a value.
        comment: what the file says above it.
    """

    key: str
    kind: Kind
    value: Any
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False
    choices: tuple[str, ...] = ()
    optional: bool = False
    comment: str = ""

    @property
    def section(self) -> str:
        """The first part of the key."""
        return self.key.partition(".")[0]

    @property
    def range(self) -> str:
        """The range in words; empty without one."""
        limits = [
            (self.minimum, "above" if self.open_minimum else "at least"),
            (self.maximum, "below" if self.open_maximum else "at most"),
        ]
        return ", ".join(f"{word} {limit:g}" for limit, word in limits if limit is not None)


def fields(content: Mapping[str, Any], comments: Mapping[str, str]) -> list[ParamField]:
    """The fields of the content of a `params.yaml`, in its order.

    Args:
        content: which `params.parse` accepts.
        comments: by dotted key.
    """
    sections = {name: section for name, section in content.items() if name not in LEFT_OUT}
    schema = Params.model_json_schema()
    return list(_walk("", sections, schema, schema, comments))


def matches(field: ParamField, wanted: str) -> bool:
    """Whether each word of a search is in the key or the comment of a field."""
    text = f"{field.key} {field.comment}".casefold()
    return all(word in text for word in wanted.casefold().split())


def _walk(
    key: str, value: Any, schema: Schema, root: Schema, comments: Mapping[str, str]
) -> Iterator[ParamField]:
    """The fields of a value and of all that is below it.

    Args:
        key: of the value.
        value: of the file.
        schema: of the value.
        root: whose `$defs` the schema names.
        comments: by dotted key.
    """
    schema, root = _entry(key, value, schema, root)
    schema, optional = _resolved(schema, root)
    if schema.get("type") == "object" and isinstance(value, Mapping):
        for name, inner in value.items():
            below = f"{key}.{name}".lstrip(".")
            yield from _walk(below, inner, _below(schema, name), root, comments)
        return
    kind = _kind(schema, root)
    strict = "exclusiveMinimum" in schema, "exclusiveMaximum" in schema
    yield ParamField(
        key=key,
        kind=kind,
        value=_typed(kind, value),
        minimum=schema.get("exclusiveMinimum", schema.get("minimum")),
        maximum=schema.get("exclusiveMaximum", schema.get("maximum")),
        open_minimum=strict[0],
        open_maximum=strict[1],
        choices=_choices(schema, root),
        optional=optional,
        comment=comments.get(key, ""),
    )


def _entry(key: str, value: Any, schema: Schema, root: Schema) -> tuple[Schema, Schema]:
    """The schema of a model or a source, which only its function has, and where its parts are."""
    above, _, name = key.rpartition(".")
    if above not in ("models", "data.sources"):
        return schema, root
    options = (
        params.options_of_model(name, value)
        if above == "models"
        else params.options_of_source(name)
    )
    own = options.model_json_schema()
    return own, own


def _resolved(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """A schema without references, and whether it takes null."""
    parts = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    optional = "anyOf" in schema and len(parts) < len(schema["anyOf"])
    inner = parts[0] if optional and len(parts) == 1 else schema
    while "$ref" in inner:
        inner = root["$defs"][inner["$ref"].rpartition("/")[2]]
    return inner, optional


def _below(schema: Schema, name: str) -> Schema:
    """The schema of one key of a mapping."""
    properties = schema.get("properties", {})
    if name in properties:
        inner: Schema = properties[name]
        return inner
    patterns = list(schema.get("patternProperties", {}).values())
    others = [*patterns, schema.get("additionalProperties")]
    return next((each for each in others if isinstance(each, Mapping)), {})


def _kind(schema: Schema, root: Schema) -> Kind:
    plain: Mapping[str, Kind] = {"boolean": "flag", "integer": "integer", "number": "number"}
    if "enum" in schema:
        return "choice"
    if schema.get("type") in plain:
        return plain[schema["type"]]
    if schema.get("type") == "array":
        items, _ = _resolved(schema.get("items", {}), root)
        if "enum" in items:
            return "choices"
        return "texts" if items.get("type") == "string" else "list"
    return "day" if schema.get("format") == "date" else "text"


def _choices(schema: Schema, root: Schema) -> tuple[str, ...]:
    items, _ = _resolved(schema.get("items", {}), root)
    return tuple(map(str, schema.get("enum", items.get("enum", ()))))


def _typed(kind: Kind, value: Any) -> Any:
    """A value of the file as its kind has it: PyYAML reads `1e-06` as text."""
    if value is None:
        return None
    if kind in ("integer", "number"):
        return int(value) if kind == "integer" else float(value)
    if kind in ("choices", "texts") and isinstance(value, str):
        # One format of dates may stand without brackets, and an empty text for none.
        return [value] if value else []
    return value
