"""Text of others - a symbol, a log line, a param - as it is: neither Markdown nor HTML."""

import html
import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>$:<&])")

_REWRITTEN = re.compile(
    # Addresses, icons and emoji, then signs such as -> and >= that stand alone.
    r"(?<=:)(?=[^\s\d])|(?<=www)(?=\.)|(?=@)"
    r"|(?<![^ ][-<>~])(?<=[-<>~])(?=(?:[-=>]|->)(?: |$))|(?<=<-)(?=>(?: |$))",
    re.IGNORECASE,
)
"""Where to split text that Streamlit makes a link or a picture after it has read the escapes."""

_PARTED = ":gray[]"
"""An empty text in grey: with it between the parts, the browser finds no whole address."""


def plain(text: object) -> str:
    """Text that Streamlit's Markdown shows letter by letter, in one line."""
    parts = _REWRITTEN.split(" ".join(str(text).split()))
    return _PARTED.join(_MARKUP.sub(r"\\\1", part) for part in parts)


def chart_text(text: object) -> str:
    """Text that Plotly shows letter by letter; it takes some HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)
