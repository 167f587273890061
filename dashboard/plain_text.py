"""Text of others - a symbol, a log line, a param - as it is: neither Markdown nor HTML."""

import html
import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:<&])")


def plain(text: object) -> str:
    """Text that Streamlit's Markdown shows letter by letter, in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def chart_text(text: object) -> str:
    """Text that Plotly shows letter by letter; it takes some HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)
