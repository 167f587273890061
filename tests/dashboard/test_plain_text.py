"""Text of others is shown letter by letter."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.plain_text import chart_text, plain


def test_markup_is_shown_as_it_is() -> None:
    assert plain("**b** <i> :smile: $x$ [a](http://b)") == (
        r"\*\*b\*\* \<i\> \:smile\: \$x\$ \[a\]\(http\://b\)"
    )
    assert chart_text("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    assert "".join(plain(text).split("\\")) == " ".join(text.split()).replace("\\", "")
