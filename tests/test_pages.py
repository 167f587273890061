"""What the pages say of the project as a whole: the index, the changelog, what a fork needs."""

import json
import re
from pathlib import Path

import yaml

from tests.projects import ROOT


def test_the_index_lists_every_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"\| \[[^\]]+\]\(([\w-]+\.md)\) \|$", text, re.MULTILINE)
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(listed) == sorted(pages)


def test_the_commands_of_the_changelog_have_moved() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    moved = re.findall(r"\| `python -m ([\w.]+)` \| `python -m ([\w.]+)` \|", text)
    assert len(moved) == 8
    for before, now in moved:
        assert not module(before).exists(), before
        assert module(now).exists(), now


def module(name: str) -> Path:
    return (ROOT / name.replace(".", "/")).with_suffix(".py")


def test_a_devcontainer_installs_with_commands_that_exist() -> None:
    path = ROOT / ".devcontainer" / "devcontainer.json"
    container = json.loads(path.read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([\w-]+)", container["postCreateCommand"]):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    minimum = re.search(
        r'^requires-python = ">=([\d.]+)"$',
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert minimum is not None
    assert container["image"].endswith(f":{minimum[1]}")


def test_dependabot_watches_what_is_pinned() -> None:
    path = ROOT / ".github" / "dependabot.yml"
    updates = yaml.safe_load(path.read_text(encoding="utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions"}
    assert {update["directory"] for update in updates} == {"/"}
