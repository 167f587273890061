"""The workflows of .github: linted, pinned, and their commands run here as a runner runs them."""

import json
import re
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests import forks
from tests.projects import ROOT, Project
from tests.s3 import S3

WORKFLOW = ".github/workflows/ci.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[Any, Any]:
    """A workflow; YAML 1.1 reads its key `on` as true."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def commands(name: str, job: str) -> dict[str, str]:
    """The commands of a job by the names of their steps."""
    steps = workflow(name)["jobs"][job]["steps"]
    return {step["name"]: step["run"] for step in steps if "run" in step}


# What is written there


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_do_little_for_a_bounded_time_with_pinned_actions(path: Path) -> None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    assert content["concurrency"]
    for job in content["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 60
    actions = re.findall(r"uses: *(\S.*)", path.read_text(encoding="utf-8"))
    assert actions
    for action in actions:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_ci_runs_on_every_python_of_the_locks() -> None:
    from tests.test_repository import PYTHONS

    job = workflow("ci")["jobs"]["run"]
    assert tuple(job["strategy"]["matrix"]["python"]) == PYTHONS
    assert commands("ci", "run") == {"Check everything": ".ci/run"}


def test_the_monitor_has_the_commands_that_its_workflow_runs() -> None:
    from monitor.__main__ import command_line

    text = "\n".join(commands("monitor", "monitor").values())
    lines = re.findall(r"-m monitor ([a-z -]+[a-z])", text)
    assert lines == ["refresh", "check", "retrain --reason schedule"]
    for words in lines:
        assert callable(command_line().parse_args(words.split()).run)


def test_a_release_tag_starts_the_release_and_a_stage_tag_does_not() -> None:
    patterns = workflow("release")[True]["push"]["tags"]
    assert patterns == ["*@v*"]
    started = re.compile(r"[^/]*@v[^/]*")
    assert started.fullmatch("short@v1.2.0")
    assert not started.fullmatch("short#production#1")
    assert not started.fullmatch("short@v1.2.0#2/x")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (WORKFLOW, "", "", ""),
        (WORKFLOW, "runs-on: ubuntu-24.04", "runs-on: ubuntu-1.04", "ubuntu-1.04"),
        (WORKFLOW, "run: .ci/run", "run: .ci/run ${{ matrix.snake }}", 'property "snake"'),
        (WORKFLOW, "run: .ci/run", "run: if then .ci/run", "shellcheck reported issue"),
        (".ci/metrics-diff", '-- "$1"', "-- $1", "SC2086"),
    ],
)
def test_make_lint_refuses_a_broken_workflow_and_a_careless_script(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    for folder in (".github", ".ci"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "Makefile", tmp_path)
    here = Project(tmp_path)
    if old:
        here.set(old, new, file)
    listed = here.run("make", "--dry-run", "lint", f"VENV={sys.prefix}")
    lines = [line for line in listed.splitlines() if re.search('(actionlint|shellcheck)"', line)]
    assert len(lines) == 2
    printed = "".join(here.run("sh", "-c", line, check=False) for line in lines)
    assert printed == "" if not message else message in printed


# The comment on a pull request


@pytest.fixture
def changed(tmp_path: Path) -> Project:
    """A branch that changes a param and two metrics, with a base that has gone on since."""
    here = scripts(tmp_path / "changed")
    metrics = [f"metrics/{name}.json" for name in ("long", "short")]
    (here.folder / "metrics").mkdir()
    for name in ("params.yaml", *metrics):
        shutil.copy(ROOT / name, here.folder / name)
    (here.folder / "dvc.yaml").write_text(yaml.safe_dump({"metrics": metrics}), encoding="utf-8")
    here.git("add", "--all")
    here.git("commit", "--quiet", "--message=The project")
    here.git("checkout", "--quiet", "-b", "other")
    here.set("alpha: 10.0", "alpha: 2.0")
    for name in metrics:
        path = here.folder / name
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"mae": 0.5}), "utf-8")
    here.git("commit", "--quiet", "--all", "--message=Another penalty")
    here.git("checkout", "--quiet", "main")
    here.set("embargo: 0", "embargo: 1")
    here.git("commit", "--quiet", "--all", "--message=An embargo")
    here.git("checkout", "--quiet", "other")
    return here


def scripts(folder: Path) -> Project:
    """A new repository with the scripts of the project."""
    here = Project(folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    here.git("init", "--quiet", "--initial-branch=main")
    here.git("config", "user.email", "tests@example.org")
    here.git("config", "user.name", "Tests")
    here.dvc("init", "--quiet")
    return here


def test_what_a_branch_changes_is_told_in_markdown(
    changed: Project,
) -> None:
    markdown = changed.run(".ci/metrics-diff", "main")
    base = changed.git("rev-parse", "--short", "main~1").strip()
    head, metrics, params = markdown.split("\n#### ")
    assert head == f"### What changed since main ({base})\n"
    title, _, names, rule, *rows = metrics.rstrip().splitlines()
    assert (title, names.count("|"), set(rule)) == ("Metrics", 6, {"|", "-"})
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [cell[:2] + cell[3:4] for cell in cells] == [
        ["metrics/long.json", "mae", "0.5"],
        ["metrics/short.json", "mae", "0.5"],
    ]
    (param,) = params.rstrip().splitlines()[4:]
    assert [cell.strip() for cell in param.split("|")[1:-1]] == [
        *("params.yaml", "models.ridge.alpha", "10.0", "2.0")
    ]

    # The page has no other command.
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert changed.run("bash", "-euc", block).partition("\n")[2] == markdown.partition("\n")[2]
    assert changed.run(".ci/metrics-diff", "HEAD").count("None changed.") == 2


def test_what_a_merge_with_its_base_changes_is_in_the_summary(
    changed: Project, tmp_path: Path
) -> None:
    # On GitHub the base is merged into what is checked out; what it did itself is no change.
    changed.git("merge", "--quiet", "--no-edit", "main")
    changed.git("update-ref", "refs/remotes/origin/main", "main")
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    changed.run(
        *("bash", "-ec", commands("ci", "metrics")["Compare"]),
        GITHUB_BASE_REF="main",
        GITHUB_STEP_SUMMARY=str(summary),
        RUNNER_TEMP=str(tmp_path),
    )
    markdown = (tmp_path / "metrics.md").read_text(encoding="utf-8")
    assert summary.read_text(encoding="utf-8") == f"before\n{markdown}"
    assert markdown.startswith("### What changed since origin/main (")
    assert markdown.count("| mae ") == 2
    assert markdown.count("models.ridge.alpha") == 1
    assert "embargo" not in markdown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["of-nobody"], "error: git knows no commit that of-nobody and HEAD have in common; "),
        ([], "error: expected one revision to compare with, for example: .ci/metrics-diff main"),
    ],
)
def test_no_base_is_one_line(arguments: list[str], message: str) -> None:
    printed = Project(ROOT).run(".ci/metrics-diff", *arguments, check=False)
    assert printed.startswith(message)
    assert printed.count("\n") == 1


class GitHub:
    """The few routes of GitHub's API that the comment needs, on loopback."""

    def __init__(self, *, others: int = 0, status: int = 200) -> None:
        self.comments = [{"id": number, "body": f"Comment {number}"} for number in range(others)]
        self.methods: list[str] = []
        self.status = status
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                content = outer.answer(self.command, self.path, self._body())
                assert self.headers["Authorization"] == "Bearer token-of-the-job"
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815  # names of http.server

            def _body(self) -> dict[str, str]:
                length = int(self.headers.get("Content-Length", 0))
                return dict(json.loads(self.rfile.read(length))) if length else {}

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, method: str, path: str, content: dict[str, str]) -> object:
        self.methods.append(method)
        place, _, query = path.removeprefix("/repos/owner/stocks/").partition("?")
        if method == "GET":
            assert place == "issues/7/comments"
            size, page = map(int, re.findall(r"=(\d+)", query))
            return self.comments[size * (page - 1) : size * page]
        if method == "POST":
            assert place == "issues/7/comments"
            self.comments.append({"id": 1000, **content})
        else:
            known = int(place.removeprefix("issues/comments/"))
            next(c for c in self.comments if c["id"] == known).update(content)
        return {}

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def comment(github: GitHub, folder: Path, text: str, *, check: bool = True) -> str:
    """Run the last step of the job as the runner does."""
    (folder / "metrics.md").write_text(text, encoding="utf-8")
    return Project(ROOT).run(
        *("bash", "-ec", commands("ci", "metrics")["Comment"]),
        check=check,
        RUNNER_TEMP=str(folder),
        NUMBER="7",
        GITHUB_TOKEN="token-of-the-job",  # noqa: S106  # of no real job
        GITHUB_REPOSITORY="owner/stocks",
        GITHUB_API_URL=f"http://127.0.0.1:{github.server.server_port}",
    )


@pytest.mark.parametrize("others", [0, 3, 100, 250])
def test_the_comment_is_written_once_and_then_replaced(tmp_path: Path, others: int) -> None:
    with GitHub(others=others) as github:
        comment(github, tmp_path, "first")
        comment(github, tmp_path, "second")
    assert len(github.comments) == others + 1
    assert github.comments[-1]["body"] == "<!-- metrics-diff -->\nsecond"
    pages = others // 100 + 1
    assert github.methods == [*["GET"] * pages, "POST", *["GET"] * (others // 100 + 1), "PATCH"]


def test_a_long_comment_is_cut_where_github_would_refuse_it(tmp_path: Path) -> None:
    with GitHub() as github:
        comment(github, tmp_path, "| a row |\n" * 10_000)
    (posted,) = github.comments
    *rows, empty, note = str(posted["body"]).splitlines()
    assert set(rows[1:]) == {"| a row |"}
    assert (empty, note) == ("", "Cut off here: the rest is in the summary of the run.")
    assert 65_000 < len(str(posted["body"])) <= 65_536


def test_a_token_that_may_not_write_is_no_failure(tmp_path: Path) -> None:
    with GitHub(status=403) as github:
        printed = comment(github, tmp_path, "text")
    assert printed.startswith("::notice::The token of this run may not comment")
    with GitHub(status=500) as github:
        printed = comment(github, tmp_path, "text", check=False)
    assert printed == "error: GitHub answered 500 Internal Server Error\n"


# A release


@pytest.fixture
def remote(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The endpoint, with its credentials in the environment."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture
def runner(light: Project, tmp_path: Path) -> Project:
    """A checkout of a release tag as a runner has it, with the environment but without data."""
    for version in ("v1.0.0", "v1.1.0"):
        light.git("commit", "--quiet", "--allow-empty", "--message", version)
        light.git("tag", "--annotate", f"short@{version}", "--message", version)
    light.git("tag", "long@v1.0.5")
    light.git("tag", "short#production#1")
    Project(tmp_path).git("clone", "--quiet", "--no-local", str(light.folder), "runner")
    project = Project(tmp_path / "runner")
    project.git("checkout", "--quiet", "short@v1.1.0")
    (project.folder / ".venv").symlink_to(forks.folder())
    (project.folder / ".git" / "info" / "exclude").write_text(".venv\n", encoding="utf-8")
    return project


def release(runner: Project, remote: S3) -> str:
    """Run the commands of the workflow up to the one that speaks to GitHub."""
    steps = commands("release", "push")
    steps.pop("Make a GitHub release")
    assert list(steps) == ["Install", "Push data and models", "Say what changed"]
    surroundings: Any = {
        "GITHUB_REF_NAME": "short@v1.1.0",
        "GITHUB_STEP_SUMMARY": str(runner.folder.parent / "summary.md"),
        "RUNNER_TEMP": str(runner.folder.parent),
        "REMOTE": f"s3://{remote.bucket}/cache",
        "ENDPOINT": remote.url,
    }
    printed = ""
    for command in steps.values():
        printed += runner.run("bash", "-ec", command, **surroundings)
    return printed


@pytest.mark.slow
def test_a_release_pushes_what_the_remote_lacks(
    runner: Project, light: Project, remote: S3
) -> None:
    # The remote has all but one model, as after a push that was cut off.
    light.dvc("remote", "modify", "--local", "storage", "url", f"s3://{remote.bucket}/cache")
    light.dvc("remote", "modify", "--local", "storage", "endpointurl", remote.url)
    light.dvc("push")
    whole = set(remote.objects())
    lock = yaml.safe_load((light.folder / "dvc.lock").read_text(encoding="utf-8"))
    outs = {out["path"]: out["md5"] for out in lock["stages"]["evaluate@long"]["outs"]}
    md5 = outs["models/long/model.onnx"]
    remote.objects()[f"cache/files/md5/{md5[:2]}/{md5[2:]}"].unlink()
    # rclone remembers for minutes what lies in its folder.
    remote.stop()
    remote.start()

    printed = release(runner, remote)

    assert "The remote does not have all that this commit makes: reproducing" in printed
    assert re.findall("^Running stage '(.*)'", printed, re.MULTILINE) == ["evaluate@long"]
    assert "A fresh clone pulled every byte that dvc.lock names" in printed
    assert set(remote.objects()) == whole
    notes = (runner.folder.parent / "notes.md").read_text(encoding="utf-8")
    assert notes.startswith("### What changed since short@v1.0.0 (")


def test_a_release_without_a_bucket_says_what_to_set(tmp_path: Path) -> None:
    step = commands("release", "push")["Push data and models"]
    here = scripts(tmp_path / "here")
    shutil.copy(ROOT / ".dvc" / "config", here.folder / ".dvc")
    assert here.run("bash", "-ec", step, check=False, REMOTE="", ENDPOINT="") == (
        "error: no bucket is set: `make remote URL=s3://bucket/path`, in CI the variable "
        "DVC_REMOTE_URL\n"
    )


@pytest.fixture
def tiny(tmp_path: Path, remote: S3) -> Project:
    """A pipeline of one stage, with the scripts of the project and a remote."""
    project = scripts(tmp_path / "tiny")
    project.dvc("remote", "add", "--default", "storage", f"s3://{remote.bucket}/cache")
    project.dvc("remote", "modify", "storage", "endpointurl", remote.url)
    (project.folder / "in").write_text("one", encoding="utf-8")
    project.dvc(
        *("stage", "add", "--run", "--name", "copy"), *("-d", "in", "-o", "out", "cp in out")
    )
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message=One")
    return project


def test_a_commit_that_makes_other_bytes_is_not_pushed(tiny: Project, remote: S3) -> None:
    (tiny.folder / "in").write_text("two", encoding="utf-8")
    refused = tiny.run(".ci/push-data", check=False)
    assert refused.startswith("error: git status is not clean: ")

    tiny.git("commit", "--quiet", "--all", "--message=Two, without dvc repro")
    shutil.rmtree(tiny.folder / ".dvc" / "cache")
    refused = tiny.run(".ci/push-data", check=False)
    assert "error: this commit makes other bytes than its dvc.lock names:\n M dvc.lock" in refused
    assert remote.objects() == {}


def test_a_wrong_key_is_told_and_a_second_try_completes(
    tiny: Project, remote: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "ERROR: " in tiny.run(".ci/push-data", check=False)
    assert remote.objects() == {}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", remote.secret)
    tiny.run(".ci/push-data")
    assert len(remote.objects()) == 1

    # A machine without the data pulls it; nothing has to run.
    shutil.rmtree(tiny.folder / ".dvc" / "cache")
    (tiny.folder / "out").unlink()
    printed = tiny.run(".ci/push-data")
    assert "Running stage" not in printed
    assert printed.endswith("A fresh clone pulled every byte that dvc.lock names\n")
