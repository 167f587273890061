"""The examples of the pages on serving, run as they stand, but for the port."""

import json
import re
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import ROOT, Project
from tests.serve.servers import Server

PAGES = ("bulk.md", "replay.md", "serving.md")
BLOCKS = {
    name: re.findall(
        r"^```(sh|python)\n(.*?)^```$",
        (ROOT / "docs" / name).read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    for name in PAGES
}
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture
def server(project: Project) -> Iterator[Server]:
    # Where the commands look by default.
    with Server(project.folder, project.folder / "var") as server:
        yield server


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
    arrow, stored, live = [text for language, text in BLOCKS["bulk.md"] if language == "python"]
    printed = run(project, server, "python", f"{arrow}\n{stored}")
    assert "probability" in printed
    card = json.loads((project.folder / "models/short/card.json").read_text(encoding="utf-8"))
    # Two columns that are passed back, the features, five outputs.
    assert f"(2584, {2 + len(card['features']) + 5})" in printed
    printed = run(project, server, "python", live)
    assert re.fullmatch(r"hello\nprediction AAPL -?0\.\d+(e-\d+)?\n", printed)


def test_the_example_of_replay(project: Project, server: Server) -> None:
    (example,) = BLOCKS["replay.md"]
    printed = run(project, server, *example)
    page = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    constant = [line for line in block.splitlines() if "the same" in line or "──" in line]
    assert len(constant) == 7
    for line in constant:
        assert line in printed.splitlines()


def test_the_examples_of_serving(project: Project, server: Server) -> None:
    start, questions, why, wrong, other = [
        text for language, text in BLOCKS["serving.md"] if language == "sh"
    ]
    assert start == "make serve\n"
    bars, label = [text for language, text in BLOCKS["serving.md"] if language == "python"]

    answers = run(project, server, "sh", questions.replace("\n", "; echo\n"))
    short, long, at, symbol = map(json.loads, answers.splitlines())
    assert (short["symbol"], short["horizon"]) == ("AAPL", "short")
    assert (long["symbol"], long["horizon"]) == ("IBM", "long")
    assert (at["symbol"], at["as_of"]) == ("MSFT", "2012-12-20")
    assert [each["horizon"] for each in symbol["predictions"]] == ["short", "long"]
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    example, problem = map(json.loads, blocks)
    assert short.keys() == example.keys()
    for name in ("as_of", "target_date", "last_close", "predicted_return", "interval"):
        assert short[name] == example[name]

    answers = run(project, server, "sh", why.replace("\n", "; echo\n"))
    short, every, posted = map(json.loads, answers.splitlines())
    for each in (short, posted, *every["predictions"]):
        assert list(each["explanation"]) == ["forecast", "base", "contributions"]

    # The second example goes on from the first.
    printed = run(project, server, "python", f"{bars}\n{label}")
    assert re.fullmatch(r"2013-01-02 -?[\d.e-]+\n-?[\d.e-]+\n196.35\n", printed)
    refused = json.loads(run(project, server, "sh", wrong))
    assert refused.pop("request_id")
    assert refused == problem

    project.run("make", "hooks", f"VENV={sys.prefix}")
    former = project.git("rev-parse", "HEAD").strip()
    project.git("commit", "--allow-empty", "--no-verify", "-m", "Another")
    latter = project.git("rev-parse", "HEAD").strip()
    for command, revision in zip(other.splitlines(), (former, latter), strict=True):
        run(project, server, "sh", command)
        deadline = time.monotonic() + 10
        while (now := revision_of(server)) != revision:
            assert time.monotonic() < deadline, now
            time.sleep(0.05)


def revision_of(server: Server) -> str:
    with urllib.request.urlopen(f"{server.url}/version") as answer:
        revision: str = json.load(answer)["revision"]
    return revision


def test_every_path_that_is_linked_exists() -> None:
    for name in PAGES:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for path in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (ROOT / "docs" / Path(path)).exists(), path
