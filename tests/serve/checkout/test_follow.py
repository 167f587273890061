"""The server follows the checkout: `git checkout` alone changes its answers, and loses none."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import httpx2
import pyarrow as pa
import pytest

from serve.checkout import follow
from serve.checkout.bundle import Bundle
from tests.narrow import wait_for
from tests.projects import Project
from tests.serve.checkout.test_loading import relock
from tests.serve.forecasts.streams import HEADERS, table, written
from tests.serve.revisions import another
from tests.serve.servers import Server
from versions.repository import lock

SWITCHES = 20 if os.environ.get("CI_FULL") == "1" else 4
CLIENTS = 4
PAUSE = 0.005
"""Seconds in which a client leaves the cores to git, DVC and the server."""

GRACE = 1.0
"""Seconds until the new revision must answer, from the end of `git checkout`."""


class Answer(NamedTuple):
    """What a client got, when it asked, and when the answer came."""

    sent_at: float
    came: float
    status: int
    revision: str
    md5: str
    forecast: float


class Load:
    """Clients that ask again and again, each over a connection of its own."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/predict/short"
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        with httpx2.Client(timeout=10) as client:
            while not self._stop.wait(PAUSE):
                sent_at = time.perf_counter()
                try:
                    answer = client.post(self._url, json={"symbol": "AAPL"})
                    body = answer.json()
                    model = body["model"]
                    self.answers.append(
                        Answer(
                            sent_at,
                            time.perf_counter(),
                            answer.status_code,
                            model["revision"],
                            model["md5"],
                            body["predicted_return"],
                        )
                    )
                except (httpx2.HTTPError, KeyError, ValueError) as error:
                    self.failures.append(repr(error))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def first(self, revision: str, place: int) -> Answer:
        """The first answer of a revision from a place on, once there are some more after it."""

        def of_it() -> Iterator[Answer]:
            return (answer for answer in self.answers[place:] if answer.revision == revision)

        wait_for(lambda: any(of_it()), 10)
        answer = next(of_it())
        wait_for(
            lambda: sum(a.sent_at > answer.came for a in self.answers[place:]) >= 5 * CLIENTS, 10
        )
        return answer

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def two(project: Project) -> Project:
    """A checkout with two revisions of other models, and the hooks of `make hooks`."""
    project.git("branch", "former")
    another(project, 0.8)
    project.git("commit", "--quiet", "--no-verify", "--all", "--message=Another level")
    subprocess.run(
        ["sh", ".ci/hooks", sys.prefix], cwd=project.folder, check=True, capture_output=True
    )
    return project


def expected(project: Project, revision: str) -> tuple[str, str]:
    """The commit of a revision, and the md5 of its model."""
    outs = lock.at(revision, project.folder).outs
    commit = project.git("rev-parse", revision).strip()
    return commit, outs["models/short/model.onnx"].md5


@pytest.mark.slow
def test_switches_under_load_lose_no_request(two: Project, tmp_path: Path) -> None:
    known = dict(expected(two, revision) for revision in ("former", "main"))
    assert len(set(known.values())) == 2
    switches: list[tuple[Answer, float, float]] = []
    with Server(two.folder, tmp_path / "var") as server, Load(server.url) as load:
        for number in range(SWITCHES):
            revision = "main" if number % 2 else "former"
            commit, _ = expected(two, revision)
            place = len(load.answers)
            two.git("checkout", "--quiet", revision)
            ended = time.perf_counter()
            first = load.first(commit, place)
            switches.append((first, first.came - ended, time.perf_counter()))
    assert load.failures == []
    assert {answer.status for answer in load.answers} == {200}
    # Each is of one of the two, whole: the revision, its model, and that model's forecast.
    assert {answer.revision: answer.md5 for answer in load.answers} == known
    forecasts = {(answer.md5, answer.forecast) for answer in load.answers}
    assert len({forecast for _, forecast in forecasts}) == len(forecasts) == 2
    # On a machine that is busy with other things one switch may take longer.
    *others, _ = sorted(seconds for _, seconds, _ in switches)
    assert others[-1] < GRACE
    # Callers that ask after the first answer and before the next switch get the new one.
    for first, _, until in switches:
        later = [answer for answer in load.answers if first.came < answer.sent_at < until]
        assert {answer.revision for answer in later} == {first.revision}


def wait(server: Server, text: str, seconds: float = 30) -> dict[str, object]:
    """The state of the bundle, once its detail in `/health` has a text."""
    deadline = time.monotonic() + seconds
    while True:
        check: dict[str, object] = httpx2.get(f"{server.url}/health").json()["checks"]["bundle"]
        if text in str(check["detail"]):
            return check
        assert time.monotonic() < deadline, check
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    """A folder of models that tests break and mend, and its server."""
    folder = tmp_path_factory.mktemp("served") / "container"
    shutil.copytree(models, folder)
    with Server(folder, tmp_path_factory.mktemp("var"), REVISION="image-7") as server:
        yield folder, server


@pytest.fixture
def folder(shared: tuple[Path, Server]) -> Path:
    return shared[0]


@pytest.fixture
def server(shared: tuple[Path, Server]) -> Server:
    """The server, once it serves what is in the folder."""
    assert wait(shared[1], "serves image-7")["status"] == "ok"
    return shared[1]


def ask(server: Server) -> dict[str, object]:
    answer = httpx2.post(f"{server.url}/predict/short")
    assert answer.status_code == 200
    forecast: dict[str, object] = answer.json()
    return {name: forecast[name] for name in ("model", "predicted_return", "as_of")}


def everything(server: Server, bundle: Bundle) -> list[object]:
    """An answer of each kind: of old and new bars, the caller's rows, charts, cards and scores."""
    model = bundle.models["short"]
    rows = [{"symbol": "IBM", "as_of": "2012-01-04"}, {"symbol": "MSFT"}]
    bars = bundle.bars.filter(symbol="GOOG").tail(300).drop("symbol", "filled")
    own_bars = [{**bar, "date": str(bar["date"])} for bar in bars.iter_rows(named=True)]
    with httpx2.Client(base_url=server.url, timeout=60) as client:
        answers = [
            *client.post("/predict/AAPL").json()["predictions"],
            *client.post("/batch-predict", json={"horizon": "long", "rows": rows}).json()[
                "predictions"
            ],
            *client.post("/predict", json={"bars": own_bars}).json()["predictions"],
            client.get("/plot/AAPL?last=5000").json(),
        ]
        for answer in answers:
            for changing in ("id", "created_at", "logged"):
                answer.pop(changing, None)
        stream = client.post(
            "/batch-predict?horizon=short", content=written(table(model, 10)), headers=HEADERS
        )
        return [
            *answers,
            *(client.get(path).json() for path in ("/model/info", "/symbols", "/metrics/IBM")),
            pa.ipc.open_stream(stream.content).read_all().to_pydict(),
        ]


def loaded_at(server: Server) -> str:
    return str(httpx2.get(f"{server.url}/version").json()["loaded_at"])


def test_a_broken_file_is_named_and_the_server_goes_on(folder: Path, server: Server) -> None:
    before = ask(server)
    assert before["model"]["revision"] == "image-7"  # type: ignore[index]

    graph = folder / "models/short/model.onnx"
    whole = graph.read_bytes()
    flipped = bytearray(whole)
    flipped[1000] ^= 4
    graph.write_bytes(flipped)
    check = wait(server, "models/short/model.onnx: md5 is ")
    assert check["status"] == "degraded"
    assert str(check["detail"]).endswith("; image-7 goes on serving")
    assert ask(server) == before

    graph.write_bytes(whole)
    assert wait(server, "serves image-7")["status"] == "ok"

    text = (folder / "dvc.lock").read_text(encoding="utf-8")
    (folder / "dvc.lock").write_text(text.replace("models/sessions.json", "x"), "utf-8")
    wait(server, "dvc.lock: has no entry for models/sessions.json; run `dvc repro`")
    assert ask(server) == before

    (folder / "dvc.lock").unlink()
    wait(server, "dvc.lock: no such file or directory")
    assert ask(server) == before

    (folder / "dvc.lock").write_text(text, encoding="utf-8")
    assert wait(server, "serves image-7")["status"] == "ok"
    assert ask(server) == before


def test_a_revision_of_another_form_is_named_and_the_next_one_is_loaded(
    folder: Path, server: Server
) -> None:
    before = ask(server)
    lock_file, sessions = folder / "dvc.lock", folder / "models/sessions.json"
    text, whole = lock_file.read_bytes(), sessions.read_bytes()
    sessions.write_text('{"days": []}', encoding="utf-8")
    relock(folder, "models/sessions.json")
    check = wait(
        server, "models/ is of a form that this server does not know (KeyError: 'sessions')"
    )
    assert check["status"] == "degraded"
    assert ask(server) == before
    sessions.write_bytes(whole)
    lock_file.write_bytes(text)
    assert wait(server, "serves image-7")["status"] == "ok"


@pytest.mark.parametrize("path", ["models", "models/short", "models/latest.parquet"])
def test_every_answer_is_the_same_while_models_are_away(
    folder: Path, server: Server, bundle: Bundle, tmp_path: Path, path: str
) -> None:
    """As while `dvc repro` runs: DVC removes the outputs of a stage before it starts it."""
    before, loaded = everything(server, bundle), loaded_at(server)
    away = tmp_path / "away"
    if (folder / path).is_dir():
        shutil.copytree(folder / path, away)
        shutil.rmtree(folder / path)
    else:
        shutil.copy(folder / path, away)
        (folder / path).unlink()
    check = wait(server, "no such file or directory; run `dvc checkout`, `dvc pull` or `dvc repro`")
    assert check["status"] == "degraded"
    assert re.match(rf"{path}\S*: no such file", str(check["detail"]))
    assert "image-7 goes on serving" in str(check["detail"])
    assert everything(server, bundle) == before
    shutil.move(away, folder / path)
    assert wait(server, "serves image-7")["status"] == "ok"
    assert everything(server, bundle) == before
    # They are the files of the same bundle: it needs no loading.
    assert loaded_at(server) == loaded


def test_new_outputs_are_loaded_once_the_lock_has_them(folder: Path, server: Server) -> None:
    """`dvc repro` removes an output, the stage writes it, and then DVC writes dvc.lock."""
    before, loaded = ask(server), loaded_at(server)
    card = folder / "models/short/card.json"
    text = card.read_text(encoding="utf-8")
    card.unlink()
    wait(server, "models/short/card.json: no such file")
    card.write_text(text + "\n", encoding="utf-8")
    wait(server, "models/short/card.json: md5 is ")
    assert (ask(server), loaded_at(server)) == (before, loaded)
    relock(folder, "models/short/card.json")
    assert wait(server, "serves image-7")["status"] == "ok"
    assert loaded_at(server) > loaded
    assert ask(server) == before
    # Changes within the folder are seen after it came back as well.
    card.write_text(text, encoding="utf-8")
    wait(server, "models/short/card.json: md5 is ")
    relock(folder, "models/short/card.json")
    assert wait(server, "serves image-7")["status"] == "ok"


def test_a_server_without_models_says_so_until_they_come(container: Path, tmp_path: Path) -> None:
    (container / "models").rename(container / "away")
    with Server(container, tmp_path / "var") as server:
        answer = httpx2.post(f"{server.url}/predict/short")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        assert (
            "no such file or directory; run `dvc checkout`, `dvc pull` or `dvc repro`"
            in answer.json()["detail"]
        )
        assert httpx2.get(f"{server.url}/health").status_code == 503
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
        (container / "away").rename(container / "models")
        wait(server, "serves unknown")
        assert ask(server)


def test_a_commit_without_other_models_renames_the_revision(
    project: Project, tmp_path: Path
) -> None:
    with Server(project.folder, tmp_path / "var") as server:
        before = ask(server)
        (project.folder / "NOTES.md").write_text("more\n", encoding="utf-8")
        project.git("add", "NOTES.md")
        project.git("commit", "--quiet", "--no-verify", "--message=Notes")
        head = project.git("rev-parse", "HEAD").strip()
        wait(server, f"serves {head}")
        after = ask(server)
        assert after["predicted_return"] == before["predicted_return"]
        assert after["model"]["md5"] == before["model"]["md5"]  # type: ignore[index]
        assert after["model"]["version"] is None  # type: ignore[index]
        # A release changes nothing that is checked out.
        project.git("tag", "-a", "short@v1.0.0", "-m", "a release")
        wait_for(lambda: ask(server)["model"]["version"] == "v1.0.0", 30)  # type: ignore[index]


def test_a_look_between_the_note_of_a_commit_and_the_commit_is_not_the_last(
    project: Project, tmp_path: Path
) -> None:
    """git writes the line of logs/HEAD first, and then moves the branch."""
    with Server(project.folder, tmp_path / "var") as server:
        before = project.git("rev-parse", "HEAD").strip()
        wait(server, f"serves {before}")
        tree = project.git("rev-parse", "HEAD^{tree}").strip()
        commit = project.git("commit-tree", "-p", before, "-m", "Another", tree).strip()
        # The looks that the start itself takes are over.
        time.sleep(3 * follow.PERIOD)
        with (project.folder / ".git/logs/HEAD").open("a", encoding="utf-8") as notes:
            notes.write(f"{before} {commit} Tests <tests@example.org> 0 +0000\tcommit: Another\n")
        time.sleep(0.3)
        assert ask(server)["model"]["revision"] == before  # type: ignore[index]
        (project.folder / ".git/refs/heads/main").write_text(f"{commit}\n", encoding="utf-8")
        wait(server, f"serves {commit}")
