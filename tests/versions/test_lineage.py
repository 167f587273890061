"""The command: what it prints of a small repository, as text and as JSON, and its errors."""

import hashlib
import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stages.common.errors import StageError
from tests.histories import Repository
from versions import lineage
from versions.repository import lock
from versions.repository import trace as chains
from versions.repository.commits import Commit

CARD = "models/short/card.json"

FIRST = "[red] :bug: First"
"""A subject that a careless printer takes for a colour."""


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def lock_text(card: str, as_of: str = "2020-01-02", read: str = "c") -> str:
    entry = "    - path: {}\n      hash: md5\n      md5: {}\n      size: 4\n"
    return (
        "schema: '2.0'\nstages:\n"
        "  ingest:\n    cmd: python -m stages.ingest\n    deps:\n"
        f"{entry.format('data/inbox', 'a' * 32 + '.dir')}"
        f"{entry.format('stages/ingest.py', 'b' * 32)}"
        f"    params:\n      params.yaml:\n        data:\n          as_of: '{as_of}'\n"
        "          source: csv\n          sources:\n            csv:\n"
        "              thousands: ','\n"
        f"    outs:\n{entry.format('data/raw', 'c' * 32 + '.dir')}"
        "  evaluate@short:\n    cmd: python -m stages.evaluate short\n    deps:\n"
        f"{entry.format('data/raw', read * 32 + '.dir')}"
        "    params:\n      params.yaml:\n        features.sma:\n        - 7\n        - 21\n"
        f"    outs:\n{entry.format(CARD, md5(card))}"
    )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two versions of a card; the second is at hand."""
    repository = Repository(tmp_path)
    (tmp_path / ".gitignore").write_text("/models\n", encoding="utf-8")
    repository.commit(lock_text("one"), FIRST)
    repository.git("tag", "v1")
    repository.commit(lock_text("two"), "Second")
    (tmp_path / CARD).parent.mkdir(parents=True)
    (tmp_path / CARD).write_text("two", encoding="utf-8")
    return repository


def command(repository: Repository, *arguments: str) -> str:
    """What `python -m versions.lineage` prints; in this process, which has imported it."""
    printed = io.StringIO()
    with (
        chdir(repository.folder),
        redirect_stdout(printed),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["lineage", *arguments])
        try:
            lineage.main()
        except StageError as error:
            return f"error: {error}\n"
    return printed.getvalue()


def test_a_page_has_a_line_for_each_stage(repository: Repository) -> None:
    page = command(repository, CARD)
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert f"evaluate@short 1 {CARD} {md5('two')[:8]}" in lines
    assert f"ingest 3 data/raw {'c' * 8}" in lines
    assert "source csv" in lines
    assert lines[-1].startswith("--all shows the params")


def test_a_stage_that_is_behind_says_so(repository: Repository) -> None:
    """As after a refresh that kept the models."""
    repository.commit(lock_text("two", read="d"), "New bars")
    assert "made from a former data/raw\n" in command(repository, CARD)
    whole = command(repository, CARD, "--all")
    assert f"{'d' * 32}  data/raw/ (a former one; the stage that writes it has run since)" in whole


def test_the_chain_of_a_file_is_printed(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    assert command(repository, CARD, "--all") == (
        f"{CARD}\n"
        f"md5      {md5('two')}  {CARD}\n"
        f"commit   {head} (main), 2024-01-02, Second\n"
        "lock     that of the commit\n"
        "at hand  the bytes of dvc.lock\n"
        "\n"
        "evaluate@short\n"
        "command  python -m stages.evaluate short\n"
        "params   features.sma=[7,21]\n"
        f"in       {'c' * 32}  data/raw/\n"
        f"out      {md5('two')}  {CARD}\n"
        "\n"
        "ingest\n"
        "command  python -m stages.ingest\n"
        'params   data.as_of=2020-01-02 data.source=csv data.sources.csv.thousands=","\n'
        f"in       {'a' * 32}  data/inbox/\n"
        "code     stages/ingest.py bbbbbbbb\n"
        f"out      {'c' * 32}  data/raw/\n"
        "\n"
        "raw bars\n"
        'source   csv thousands=","\n'
        "as_of    2020-01-02\n"
        f"input    {'a' * 32}  data/inbox/\n"
    )


def test_json_holds_the_same(repository: Repository) -> None:
    content = json.loads(command(repository, CARD, "--json"))
    raw = {"path": "data/raw", "md5": "c" * 32 + ".dir", "size": 4, "files": None}
    card = {"path": CARD, "md5": md5("two"), "size": 4, "files": None}
    inbox = {"path": "data/inbox", "md5": "a" * 32 + ".dir", "size": 4, "files": None}
    assert content == {
        "path": CARD,
        "outputs": [card],
        "commit": {
            "id": repository.git("rev-parse", "HEAD"),
            "date": "2024-01-02T12:00:00+00:00",
            "subject": "Second",
            "names": ["main"],
            "experiment": False,
        },
        "workspace": {
            "lock_changed": False,
            "lineage_changed": False,
            "changes": [],
            "at_hand": {CARD: "same"},
        },
        "stages": [
            {
                "name": "evaluate@short",
                "cmd": "python -m stages.evaluate short",
                "params": {"features.sma": [7, 21]},
                "code": [],
                "deps": [{**raw, "made_by": ["ingest"]}],
                "outs": [card],
            },
            {
                "name": "ingest",
                "cmd": "python -m stages.ingest",
                "params": {
                    "data.as_of": "2020-01-02",
                    "data.source": "csv",
                    "data.sources.csv.thousands": ",",
                },
                "code": [{"path": "stages/ingest.py", "md5": "b" * 32, "size": 4, "files": None}],
                "deps": [{**inbox, "made_by": []}],
                "outs": [raw],
            },
        ],
        "inputs": [inbox],
        "readers": [],
        "raw": {"source": "csv", "options": {"thousands": ","}, "as_of": "2020-01-02"},
    }


def test_another_revision_needs_nothing_at_hand(repository: Repository) -> None:
    first = repository.git("rev-parse", "v1")
    content = json.loads(command(repository, CARD, "--rev", "v1", "--json"))
    assert content["outputs"][0]["md5"] == md5("one")
    assert (content["commit"]["id"], content["commit"]["names"]) == (first, ["v1"])
    assert content["workspace"] is None


def test_from_the_md5_alone(repository: Repository) -> None:
    printed = command(repository, "--md5", md5("one")[:8], "--all")
    first = repository.git("rev-parse", "v1")
    head = printed[: printed.index("\nevaluate@short\n")].splitlines()
    assert head[0] == f"md5 {md5('one')}"
    assert head[1].split() == ["commit", "date", "subject", "names", "path"]
    assert head[3].split() == [first[:10], "2024-01-01", *FIRST.split(), "v1", CARD]
    assert head[5:] == [
        CARD,
        f"md5      {md5('one')}  {CARD}",
        f"commit   {first} (v1), 2024-01-01, {FIRST}",
    ]
    content = json.loads(command(repository, "--md5", md5("one"), "--json"))
    assert content["md5"] == md5("one")
    assert [sighting["commit"]["id"] for sighting in content["sightings"]] == [first]
    assert content["sightings"][0]["paths"] == [CARD]


def test_an_experiment_is_said_to_be_one(repository: Repository) -> None:
    repository.commit(lock_text("three"), "Tried")
    repository.git("update-ref", "refs/exps/12/3456/brave-owl", "HEAD")
    repository.git("reset", "--hard", "HEAD~1")
    printed = command(repository, "--md5", md5("three"))
    assert "Only experiments have it: no branch or tag leads to these commits.\n" in printed
    assert "experiment brave-owl" in printed


def test_what_differs_from_the_commit_is_told(repository: Repository) -> None:
    def workspace(path: str) -> Any:
        return json.loads(command(repository, path, "--json"))["workspace"]

    path = repository.folder / CARD
    path.write_text("other", encoding="utf-8")
    (repository.folder / "new").touch()
    (repository.folder / "dvc.lock").write_text(lock_text("three"), encoding="utf-8")
    assert workspace(CARD) == {
        "lock_changed": True,
        "lineage_changed": True,
        "changes": ["new"],
        "at_hand": {CARD: "different"},
    }
    assert workspace("data/raw") == {
        "lock_changed": True,
        "lineage_changed": False,
        "changes": ["new"],
        "at_hand": {"data/raw": "missing"},
    }
    assert command(repository, CARD).splitlines()[3:6] == [
        "lock     not that of the commit: what follows is not committed",
        "changed  new (not committed)",
        f"at hand  other bytes than dvc.lock has: `dvc checkout {CARD}` brings those",
    ]
    assert command(repository, "data/raw/daily").splitlines()[3:6] == [
        "lock     not that of the commit, but what follows is the same there",
        "changed  new (not committed)",
        "at hand  not there: `dvc checkout data/raw` brings it, or `dvc pull data/raw`",
    ]


def test_an_input_has_readers(repository: Repository) -> None:
    printed = command(repository, "data/inbox/AAPL.csv", "--rev", "v1")
    assert printed.splitlines()[-1] == "input    no stage writes it; read by ingest"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a path (and --rev), or an --md5 alone; see --help"),
        ([CARD, "--md5", "a" * 8], "name a path (and --rev), or an --md5 alone; see --help"),
        (["--revision"], "unrecognized arguments: --revision; see --help"),
        (["../x"], "../x: name a file or folder within the project, run from its root"),
        # As from a variable or `$(...)` that is empty.
        ([""], "'': name a file or folder within the project, run from its root"),
        (["--md5", ""], "an md5 is 32 digits of 0-9 and a-f, at least 8 of them; got ''"),
        (
            [CARD, "--rev", ""],
            "git knows no revision ''; `git fetch --tags` brings those of others",
        ),
        (
            [CARD, "--rev", "v9"],
            "git knows no revision 'v9'; `git fetch --tags` brings those of others",
        ),
        (
            ["models/short/card", "--rev", "v1"],
            "dvc.lock of v1: no stage makes or reads models/short/card "
            "(did you mean models/short/card.json?)",
        ),
    ],
)
def test_errors_are_one_line(repository: Repository, arguments: list[str], message: str) -> None:
    assert command(repository, *arguments) == f"error: {message}\n"


def test_a_reader_who_has_seen_enough_is_no_error(repository: Repository, repo_root: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m versions.lineage {CARD} | true'],
        cwd=repository.folder,
        env={**os.environ, "PYTHONPATH": str(repo_root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_a_terminal_of_80_columns_cuts_no_md5() -> None:
    screen = Console(width=80, color_system=None, force_terminal=True)
    origin = chains.trace(lock.parse(lock_text("two")), CARD)
    commit = Commit("a" * 40, "2024-01-01T12:00:00+00:00", "x" * 100, (), experiment=False)
    with screen.capture() as captured:
        lineage.show(screen, commit, origin, whole=True)
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert captured.get().count("c" * 32) == 2
