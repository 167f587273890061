"""docs/sharing.md as it stands: two people, two clones, one history."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forks
from tests.narrow import SMALL, Narrow
from tests.projects import ROOT, Project
from tests.s3 import S3
from versions import s3 as local
from versions.repository import lock, workspace

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
AWS, OTHER, LOCAL, TEAM, ADA, BEN, HEAL = BLOCKS


def block(project: Project, text: str) -> str:
    """Run a block of the page; the environment is the one that runs this test."""
    return project.run("bash", "-euc", text, MAKEFLAGS=f"VENV={forks.folder()}")


def test_two_people_work_on_one_history(
    light: Project, tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = light
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    # The page says AWS; this is where AWS is here.
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
    before = lock.read(project.folder / "dvc.lock")
    project.git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin"))
    project.git("remote", "add", "origin", str(tmp_path / "origin"))
    project.git("push", "--quiet", "--set-upstream", "origin", "main")
    assert f"remote: {s3.url} answers" in block(project, AWS)
    assert "push: the remote has all" in block(project, ADA)
    # With the cache wiped, Ada has nothing that Ben could get but through the bucket.
    project.run("rm", "-r", ".dvc/cache")

    elsewhere = Project(tmp_path / "another path")
    elsewhere.folder.mkdir()
    printed = block(elsewhere, BEN.replace("<this repository>", str(tmp_path / "origin")))
    assert "objects are here" in printed
    # `dvc status`, and `dvc repro` at the end.
    assert printed.count("Data and pipelines are up to date.") == 2
    assert "Running stage" not in printed
    ben = Project(elsewhere.folder / "stocks")
    assert lock.read(ben.folder / "dvc.lock") == before
    assert ben.git("status", "--porcelain") == ""
    for entry in before.outs.values():
        assert workspace.state(entry, ben.folder) == "same", entry.path

    # A folder that holds only outputs, which DVC itself does not accept as a target.
    (models,) = re.findall(r"`(make pull ARGS=\w+)`", TEXT)
    ben.run("rm", "-r", ".dvc/cache", "data/features", "models/short/model.onnx")
    assert "objects are here" in block(ben, models)
    assert workspace.state(before.outs["models/short/model.onnx"], ben.folder) == "same"
    assert not (ben.folder / "data" / "features").exists()

    # Ada has her cache no more; her working tree is a whole copy.
    assert "objects, 0 of them sent now" in block(project, HEAL)
    s3.stop()
    broken = s3.objects()[_key(before.outs["models/short/model.onnx"].md5)]
    broken.write_bytes(broken.read_bytes()[:-1])
    s3.start()
    healed = block(project, HEAL)
    assert "heal: models/short/model.onnx: corrupt in the remote" in healed
    assert "objects, 1 of them sent now" in healed
    assert "objects, 0 of them sent now" in block(ben, HEAL)


def _key(md5: str) -> str:
    return f"cache/files/md5/{md5[:2]}/{md5[2:]}"


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """The files of the project that commands of a remote read; nothing has been run."""
    project = Project(tmp_path / "bare")
    shutil.copytree(ROOT / ".ci", project.folder / ".ci")
    for name in ("stages/common", "versions"):
        shutil.copytree(ROOT / name, project.folder / name)
    (project.folder / ".dvc").mkdir()
    names = ("Makefile", "requirements.txt", ".gitignore", ".dvc/config", ".dvc/.gitignore")
    for name in names:
        shutil.copy(ROOT / name, project.folder / name)
    project.git("init", "--quiet")
    project.git("config", "user.email", "tests@example.org")
    project.git("config", "user.name", "Tests")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--no-verify", "--message=The commands")
    return project


def test_the_remote_of_a_team_is_in_git_and_of_another_server_has_an_endpoint(
    bare: Project, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    printed = block(bare, OTHER.replace("https://s3.example.org", s3.url))
    assert f"remote: {s3.url} answers" in printed
    assert bare.git("status", "--porcelain") == ""
    block(bare, TEAM)
    assert "url = s3://stocks/cache" in bare.git("show", "HEAD:.dvc/config")


@pytest.fixture
def alone(bare: Project) -> Iterator[Project]:
    """A checkout with a port of its own, whose server, if one was started, ends with the test."""
    # One for each worker, below those that the system gives to connections: the server is to find
    # it free again after it was stopped.
    server = local.Server(20_000 + os.getpid() % 10_000, "key-of-a-test", "secret-of-a-test")
    state = bare.folder / local.STATE
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps(server._asdict()), encoding="utf-8")
    yield bare
    block(bare, "make s3-stop")


def test_no_cloud_at_all(alone: Project, tmp_path: Path) -> None:
    assert "started, data in var/s3/data; the remote points at it" in block(alone, LOCAL)
    state = alone.folder / "var" / "s3" / "server.json"
    server = json.loads(state.read_text(encoding="utf-8"))
    assert "runs already" in block(alone, LOCAL)
    assert json.loads(state.read_text(encoding="utf-8")) == server
    assert alone.git("status", "--porcelain") == ""
    assert state.stat().st_mode & 0o077 == 0
    # Nobody on the machine reads the key from the list of processes, or gets in without it.
    command = alone.run("ps", "-ww", "-o", "command=", "-p", str(server["pid"]))
    assert "rclone serve s3" in command
    assert server["secret"] not in command
    alone.run("dvc", "remote", "modify", "--local", "storage", "secret_access_key", "guessed")
    assert "refuses the signature: look at secret_access_key in .dvc/config.local" in alone.run(
        *("python", "-m", "versions.remote", "check"), check=False
    )
    block(alone, LOCAL)

    # A clone of something small shares it.
    first = Narrow.make(tmp_path / "first", SMALL)
    second = first.clone(tmp_path / "second")
    for clone in (first, second):
        clone.run("cp", str(alone.folder / ".dvc" / "config.local"), ".dvc/")
    first.remote("push")
    half = alone.folder / "var/s3/data/stocks/cache/.rclone_temp_put_of-a-killed-server"
    half.touch()

    assert block(alone, "make s3-stop") == "s3: stopped\n"
    assert "does not answer: start it (`make s3`" in second.remote("pull")[-1]
    assert block(alone, "make s3-stop") == "s3: does not run\n"
    assert "started" in block(alone, LOCAL)
    again = json.loads(state.read_text(encoding="utf-8"))
    assert {**again, "pid": 0} == {**server, "pid": 0}
    assert not half.exists()
    second.remote("pull")
    assert second.files()["data/00.bin"] == SMALL["data/00.bin"]
