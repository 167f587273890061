"""The examples of docs/bulk.md and docs/replay.md, run as they stand, but for the port."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import ROOT, Project
from tests.serve.servers import Server

PAGES = ("bulk.md", "replay.md")
BLOCKS = {
    name: re.findall(
        r"^```(sh|python)\n(.*?)^```$",
        (ROOT / "docs" / name).read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    for name in PAGES
}


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    # Where the commands look for them by themselves.
    with Server(project.folder, project.folder / "var") as found:
        yield found


def run(project: Project, server: Server, language: str, text: str) -> str:
    command = ["bash", "-euc"] if language == "sh" else ["python", "-c"]
    return project.run(*command, text.replace("localhost:8000", f"127.0.0.1:{server.port}"))


def test_the_examples_of_bulk(project: Project, server: Server) -> None:
    shell = [text for language, text in BLOCKS["bulk.md"] if language == "sh"]
    batch, chart = (run(project, server, "sh", text) for text in shell)
    assert batch.count('"predicted_return"') == 2
    assert '"predicted_close"' in chart
    assert '"oos_r2"' in chart
    # The second example goes on from the first.
    arrow, kept, live = [text for language, text in BLOCKS["bulk.md"] if language == "python"]
    printed = run(project, server, "python", f"{arrow}\n{kept}")
    assert "probability" in printed
    assert "(2584, 35)" in printed
    printed = run(project, server, "python", live)
    assert re.fullmatch(r"hello\nprediction AAPL -?0\.\d+(e-\d+)?\n", printed)


def test_the_example_of_replay(project: Project, server: Server) -> None:
    (example,) = BLOCKS["replay.md"]
    printed = run(project, server, *example)
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    constant = [line for line in shown.splitlines() if "the same" in line or "──" in line]
    assert len(constant) == 6
    for line in constant:
        assert line in printed.splitlines()


def test_every_path_that_is_linked_exists() -> None:
    for name in PAGES:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / "docs" / Path(path)).exists(), path
