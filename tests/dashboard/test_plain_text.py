"""Text of others is shown letter by letter."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.plain_text import chart_text, plain


def test_markup_is_shown_as_it_is() -> None:
    assert plain("**b** <i> 9:30: $x$ [a](b)") == (r"\*\*b\*\* \<i\> 9\:30\: \$x\$ \[a\]\(b\)")
    assert chart_text("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"


@pytest.mark.parametrize(
    "text",
    [
        *("see https://a.b/c", "WWW.a.b", "a@b.c", "mailto:a@b.c", ":smile:", ":material/home:"),
        *(":streamlit:", "a -> b", "<-", "a <-> b", "git checkout -- a", "a >= b", "<= b", "~= b"),
    ],
)
def test_nothing_becomes_a_link_or_a_picture(text: str) -> None:
    # As the browser does, which looks at what lies between two elements, without the escapes.
    for part in plain(text).split(":gray[]"):
        page_text = part.replace("\\", "")
        assert not re.search(r"://|www\.|\w@\w|:[a-z/]+:", page_text, re.IGNORECASE)
        assert not re.search(r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)", page_text)


def test_an_option_stays_in_one_piece() -> None:
    assert plain("git stash --include-untracked") == r"git stash \-\-include\-untracked"


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    page_text = plain(text).replace(":gray[]", "").replace("\\", "")
    assert page_text == " ".join(text.split()).replace("\\", "")
