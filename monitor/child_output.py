"""What a command that failed said."""


def reason(text: str) -> str:
    """The line that says why: the first error of the project's own, or else the last line.

    Args:
        text: what it wrote to its standard error, or to both streams.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    own = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (own[:1] or lines[-1:] or ["it said nothing"])[0]
