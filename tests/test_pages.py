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


def commands(text: str) -> list[str]:
    """What a page has its reader type, line by line."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return "".join(blocks).splitlines()


def test_no_experiment_of_the_readme_begins_with_what_another_left() -> None:
    lines = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    runs = [number for number, line in enumerate(lines) if line.startswith("dvc exp run")]
    elsewhere = ("--queue", "--temp", "--run-all")
    here = [number for number in runs if not any(word in lines[number] for word in elsewhere)]
    assert here
    for number in here:
        assert lines[number + 1] == "git checkout params.yaml dvc.lock metrics && dvc checkout"


def test_a_narrow_terminal_can_show_the_experiments_of_every_page() -> None:
    listings = []
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        cells = re.findall(r"^\| .*`(dvc exp show[^`]*)`", text, re.MULTILINE)
        typed = [line for line in commands(text) if line.startswith("dvc exp show")]
        listings += [(path.name, command) for command in (*cells, *typed)]
    assert listings
    for name, command in listings:
        for option in ("--no-pager", "--drop '.*'", "--keep "):
            assert option in command, (name, command)


def test_the_readme_says_that_a_rollback_needs_two_versions() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if "`make rollback" in line]
    assert "second" in row
