"""Moving the date in the text of params.yaml: that place, and no other byte."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.common.errors import ParamsError
from versions.as_of import moved, read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:\n  as_of: '2012-12-31'\n", "data:\n  as_of: '2013-02-28'\n"),
        ('data: {"as_of": "2012-12-31"}', 'data: {"as_of": "2013-02-28"}'),
        ("data:\r\n  as_of: 2012-12-31 # note\r\n", "data:\r\n  as_of: 2013-02-28 # note\r\n"),
        (
            "# as_of: '2012-12-31'\nas_of: 1\nother: {as_of: 2}\ndata: {x: ü, as_of: 2012-12-31}\n",
            "# as_of: '2012-12-31'\nas_of: 1\nother: {as_of: 2}\ndata: {x: ü, as_of: 2013-02-28}\n",
        ),
    ],
)
def test_every_other_byte_stays(text: str, expected: str) -> None:
    assert moved(text, "2013-02-28") == expected
    assert moved(expected, "2012-12-31") == text
    assert (read(text), read(expected)) == ("2012-12-31", "2013-02-28")


def there_and_back(text: str, one: date, other: date) -> None:
    first = moved(text, str(one))
    second = moved(first, str(other))
    assert moved(second, str(one)) == first
    assert moved(second, read(text) or "") == text
    assert yaml.safe_load(second)["data"]["as_of"] == str(other)


@given(st.dates(), st.dates())
def test_there_and_back(one: date, other: date) -> None:
    there_and_back("# bars\ndata:\n  as_of: '2012-12-31'  # newest\n  start: null\n", one, other)


def test_there_and_back_in_the_params_of_the_project() -> None:
    text = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    there_and_back(text, date(2013, 2, 28), date(999, 1, 4))


@pytest.mark.parametrize(
    "day", ["tomorrow", "2013-02-30", "20130228", "2013-W09-4", "", "28.2.2013"]
)
def test_what_is_no_date(day: str) -> None:
    with pytest.raises(ParamsError) as caught:
        moved("data: {as_of: 2012-12-31}", day)
    assert str(caught.value) == f"data.as_of: must be a date such as 2012-12-31, got {day!r}"


def test_a_date_that_has_no_place_of_its_own() -> None:
    shared = "data: {first: &day 2012-12-31, as_of: *day}"
    with pytest.raises(ParamsError, match="shared with another key"):
        moved(shared, "2013-02-28")
    for text in ("", "data: 1", "data: {}", "data: {as_of: [1]}"):
        assert read(text) is None
        with pytest.raises(ParamsError, match=r"^data\.as_of: is missing$"):
            moved(text, "2013-02-28")
