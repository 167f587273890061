"""Change `data.as_of` in the text of `params.yaml`, and no other byte."""

import re
from datetime import date

import yaml

from stages.common.errors import ParamsError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def moved(text: str, day: str) -> str:
    """The text of a `params.yaml` with another `data.as_of`: every other byte stays.

    Args:
        text: valid YAML.
        day: such as 2012-12-31.

    Raises:
        ParamsError: it is not such a date, or the text lacks `data.as_of` or shares it by anchor.
    """
    try:
        # `fromisoformat` also takes forms of ISO 8601 that few people read, such as 2012W011.
        date.fromisoformat(day if _DAY.fullmatch(day) else "")
    except ValueError:
        raise ParamsError([f"data.as_of: must be a date such as 2012-12-31, got {day!r}"]) from None
    node = _node(text)
    if node is None:
        raise ParamsError(["data.as_of: is missing"])
    quote = node.style or ""
    new = text[: node.start_mark.index] + quote + day + quote + text[node.end_mark.index :]
    if not _only_it_moved(text, new):
        raise ParamsError(["data.as_of: write it as a plain date, it is shared with another key"])
    return new


def _only_it_moved(text: str, new: str) -> bool:
    try:
        before, after = (yaml.load(each, Loader=yaml.CSafeLoader) for each in (text, new))
    except yaml.YAMLError:
        return False
    moved_day = {"as_of": after["data"]["as_of"]}
    return bool(before | {"data": before["data"] | moved_day} == after)


def read(text: str) -> str | None:
    """The date in the text; None without one."""
    node = _node(text)
    return None if node is None else str(node.value)


def _node(text: str) -> yaml.ScalarNode | None:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("data", "as_of"):
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node if isinstance(node, yaml.ScalarNode) else None
