"""What a message says, whatever its words: so that prose can be mended without its tests."""

import re

FACT = re.compile(
    r"`[^`]+`"  # a command
    r"|'[^']*'"  # what was given
    r"|(?<=did you mean )[^?]+"  # what was probably meant
    r"|(?<=column )\w+"
    r"|(?<!\w)-?\d[\w.,:%-]*"  # a number, a date
    r"|[\w./*@:-]*\w[_./*@=]\w[\w./*@:=-]*"  # a file, a key, a name with marks in it
    r"|(?<!\w)[A-Z][A-Z\d]*(?!\w)"  # a symbol
)


def facts(message: str) -> set[str]:
    """The files, keys, numbers, names and commands of a message of one line."""
    assert "\n" not in message.strip()
    named = {fact.rstrip(".,:;") for fact in FACT.findall(message)}
    assert named, f"a message without a fact: {message}"
    return named
