"""Days and moments of callers: texts of ISO 8601 only, where pydantic would take numbers too."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NUMBER = re.compile(r"\s*[+-]?[\d.]+([eE][+-]?\d+)?\s*")


def _is_day(value: object) -> object:
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise PydanticCustomError("day", "Input should be a valid date, such as 2012-12-31")


def _is_moment(value: object) -> object:
    # pydantic would read a number as seconds or milliseconds since 1970, by its size.
    if isinstance(value, datetime) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        return value
    raise PydanticCustomError(
        "moment", "Input should be a valid datetime, such as 2012-12-31T21:00:00Z"
    )


def _with_zone(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError(
            "moment", "Input should lie within the years 1 to 9999 of UTC"
        ) from None


Day = Annotated[date, BeforeValidator(_is_day)]
"""A day, `YYYY-MM-DD`."""

Moment = Annotated[datetime, BeforeValidator(_is_moment), AfterValidator(_with_zone)]
"""A moment; without a zone it is in UTC."""

ZonedMoment = Annotated[AwareDatetime, BeforeValidator(_is_moment), AfterValidator(_in_utc)]
"""A moment with a zone, converted to UTC."""
