"""The comments of params.yaml, which are the help of its fields."""


def comments(text: str) -> dict[str, str]:
    """The comments above the keys of a YAML file in block style, by dotted key.

    Args:
        text: of the file.
    """
    by_key: dict[str, str] = {}
    above: list[str] = []
    open_keys: list[tuple[int, str]] = []
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("#"):
            above.append(bare.removeprefix("#").strip())
            continue
        name, colon, _ = bare.partition(":")
        if not bare or bare.startswith("- ") or not colon:
            above = []
            continue
        indent = len(line) - len(line.lstrip())
        open_keys = [entry for entry in open_keys if entry[0] < indent]
        open_keys.append((indent, name.strip("'\"")))
        if above:
            by_key[".".join(key for _, key in open_keys)] = " ".join(above)
            above = []
    return by_key
