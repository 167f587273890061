"""A refresh of the real sample, and a source that revises its past, run as a user would."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import httpx2
import polars as pl
import pytest

from stages.common import tables
from tests import forks
from tests.narrow import wait_for
from tests.projects import ROOT, Project
from tests.serve.servers import Server
from versions import refresh

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
REFRESH, KEEP, BACK, WHOLE = re.findall(r"^```sh\n(.*?)\n```$", TEXT, re.MULTILINE | re.DOTALL)


def type_in(project: Project, command: str, *, check: bool = True) -> str:
    # The environment is the one that runs this test: installing it has a test of its own.
    flags = {"MAKEFLAGS": f"VENV={forks.folder()}"} if command.startswith("make") else {}
    return project.run("bash", "-euc", command, check=check, **flags)


def content(project: Project) -> dict[str, bytes]:
    roots = [project.folder / name for name in ("data", "models", "metrics")]
    files = [project.folder / "params.yaml", project.folder / "dvc.lock"]
    files += [file for root in roots for file in root.rglob("*") if file.is_file()]
    return {str(file.relative_to(project.folder)): file.read_bytes() for file in files}


def another_volume(file: Path) -> None:
    """Make one bar differ from that of the source."""
    bars = tables.read(file)
    other = pl.when(pl.col("date") == date(2011, 5, 6)).then(1.0).otherwise("volume")
    tables.write(bars.with_columns(other.alias("volume")), file)


def test_a_refresh_from_the_first_try_to_the_commit(brief: Project) -> None:
    project = brief
    before = content(project)
    was = json.loads(before["metrics/short.json"])["mae"]

    # A refused command changes nothing.
    for command, message in (
        ("make refresh", "the following arguments are required: AS_OF"),
        ("make refresh AS_OF=soon", "data.as_of: must be a date such as 2012-12-31, got 'soon'"),
    ):
        assert f"error: {message}" in type_in(project, command, check=False)
    project.set("fill_limit: 0", "fill_limit: 1")
    refused = type_in(project, REFRESH, check=False)
    assert "error: params.yaml has changes that are not committed; commit them first" in refused
    project.git("checkout", "params.yaml")
    assert content(project) == before

    # A pipeline that stops keeps the date, and there is a way back.
    stopped = type_in(project, "make refresh AS_OF=2009-01-01", check=False)
    assert "error: data.as_of 2009-01-01 is before the first bar of AAPL (2000-03-01)" in stopped
    assert "error: the pipeline stopped; params.yaml keeps the new date: mend what is" in stopped
    assert f"or go back: {BACK}\n" in stopped
    # The first stage, which checks params.yaml, has passed.
    assert project.git("status", "--porcelain") == " M dvc.lock\n M params.yaml\n"
    type_in(project, BACK)
    assert content(project) == before
    project.set("as_of: '2012-12-31'", "as_of: '2009-01-01'")

    # Mended by another date; the former bars are not those of the source.
    project.dvc("checkout", "data/raw")
    another_volume(project.folder / "data" / "raw" / "daily" / "AAPL.parquet")
    project.dvc("commit", "--quiet", "--force", "ingest")
    printed = type_in(project, REFRESH)
    revision = "1 changed (volume 1): AAPL 2011-05-06 volume 1 -> 10004800"
    changed = f"ingest: sample: bars of earlier sessions have changed: {revision};"
    assert printed.index(changed) < printed.index("daily bars to 2013-02-28")
    mae = json.loads((project.folder / "metrics" / "short.json").read_text(encoding="utf-8"))["mae"]
    lines = [re.sub(" +", " ", line.strip()) for line in printed.splitlines()]
    for line in (
        "daily AAPL 1,046 (+40) 1,046 (+40) 0 2013-02-28 2012-12-31",
        "market all 2,092 (+80) 2,092 (+80) 0",
        f"short MAE % {100 * was:.3f} {100 * mae:.3f} {100 * (mae - was):+.3f}",
        "raw 100.00 100.00",
        f"Revised by the source: {revision}",
        "short: newest forecasts",
        'git add params.yaml dvc.lock metrics && git commit -m "Refresh to 2013-02-28"',
        "make push",
        BACK,
    ):
        assert line in lines, line
    text = before["params.yaml"].decode()
    after = content(project)
    assert after["params.yaml"].decode() == text.replace("2012-12-31", "2013-02-28", 1)
    changed = project.git("status", "--porcelain")

    # Again: nothing changes, before the commit and after it.
    assert "Nothing to do: data.as_of is 2013-02-28" in type_in(project, REFRESH)
    assert content(project) == after
    assert project.git("status", "--porcelain") == changed
    (keep,) = (line.strip() for line in printed.splitlines() if line.startswith("  git add"))
    type_in(project, keep)
    assert project.git("status", "--porcelain") == ""
    another_volume(project.folder / "data" / "raw" / "daily" / "AAPL.parquet")
    whole = type_in(project, WHOLE)
    assert "bars of earlier sessions have changed" in whole
    assert whole.endswith("Nothing to do: data.as_of is 2013-02-28, and all of it is reproduced.\n")
    assert content(project) == after
    assert "Data and pipelines are up to date" in project.dvc("status")


def test_a_day_comes_without_training(brief: Project, tmp_path: Path) -> None:
    model = brief.folder / "models" / "short" / "model.onnx"
    before = model.read_bytes()
    with Server(brief.folder, tmp_path / "var") as server:

        def forecast() -> tuple[str, str, str]:
            answer = httpx2.post(f"{server.url}/predict/short", json={"symbol": "AAPL"}).json()
            return answer["as_of"], answer["target_date"], answer["model"]["md5"]

        day, target, md5 = forecast()
        assert (day, target) == ("2012-12-31", "2013-01-02")
        printed = type_in(brief, KEEP)
        wait_for(lambda: forecast() == ("2013-01-02", "2013-01-03", md5), 10)
    assert model.read_bytes() == before
    assert "stages.train" not in printed
    assert "stages.dataset" not in printed
    assert "  short knows the bars up to 2012-12-31\n" in printed
    status = brief.dvc("status")
    stages = {line.split("@")[0].rstrip(":") for line in status.splitlines() if line[:1].strip()}
    assert stages == {"dataset", "validate_datasets", "evaluate", "backtest"}

    assert "Nothing to do: data.as_of is 2013-01-02" in type_in(brief, KEEP)
    (keep,) = (line.strip() for line in printed.splitlines() if line.startswith("  git add"))
    type_in(brief, keep)
    assert brief.git("status", "--porcelain") == ""
    refused = type_in(brief, "make release HORIZON=short", check=False)
    for fact in ("dvc.lock of HEAD does not match", "dataset@short (data/features)", "dvc repro"):
        assert fact in refused


@pytest.mark.parametrize(
    ("newest", "as_of", "expected"),
    [
        (date(2013, 3, 1), date(2013, 3, 1), None),
        # A weekend has no bars.
        (date(2013, 3, 1), date(2013, 3, 3), None),
        (
            date(2013, 3, 1),
            date(2013, 3, 5),
            "sample has no bars of the last 2 sessions up to 2013-03-05: "
            "the newest is of 2013-03-01.",
        ),
        (
            date(2013, 3, 6),
            date(2015, 3, 6),
            "sample has no bars of the last 1 or more sessions up to 2015-03-06: "
            "the newest is of 2013-03-06.",
        ),
    ],
)
def test_sessions_without_bars_are_told(newest: date, as_of: date, expected: str | None) -> None:
    sessions = [f"2013-03-{day:02}" for day in (1, 4, 5, 6, 7)]
    message = refresh.behind("sample", as_of, newest, sessions)
    assert (message or "").split(" Refresh")[0] == (expected or "")


def test_ctrl_c_ends_in_order(fresh: Project) -> None:
    (fresh.folder / "dvc.yaml").write_text("stages: {slow: {cmd: sleep 60}}\n")
    fresh.git("commit", "--quiet", "--no-verify", "--all", "--message=A slow pipeline")
    with subprocess.Popen(
        [sys.executable, "-m", "versions.refresh", "2013-02-28"],
        cwd=fresh.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "sleep 60" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 1
    assert rest.splitlines()[-1].startswith("error: the pipeline stopped; params.yaml keeps the")
    assert "as_of: '2013-02-28'" in (fresh.folder / "params.yaml").read_text(encoding="utf-8")
    fresh.run("bash", "-euc", BACK)
    assert fresh.git("status", "--porcelain") == ""


def test_the_former_bars_come_back_after_a_revision(fresh: Project) -> None:
    pipeline = (fresh.folder / "dvc.yaml").read_text(encoding="utf-8")
    (fresh.folder / "dvc.yaml").write_text(pipeline[: pipeline.index("\n  clean:\n")])
    for old, new in (
        ("source: sample", "source: csv"),
        ("as_of: '2012-12-31'", "as_of: '2020-01-06'"),
        ("symbols:\n  - AAPL\n  - GOOG\n  - IBM\n  - MSFT", "symbols: []"),
        ("market:\n  - sp500\n  - nasdaq", "market: []"),
    ):
        fresh.set(old, new)
    inbox = fresh.folder / "data" / "inbox" / "ACME.csv"
    rows = [f"2020-01-0{day},10,11,9,{day},100" for day in (2, 3, 6, 7)]
    inbox.write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))
    fresh.dvc("repro")
    fresh.git("add", "--all")
    fresh.git("commit", "--quiet", "--no-verify", "--message=Bars of ACME")

    fresh.set("2020-01-03,10,11,9,3,", "2020-01-03,10,11,9,3.5,", "data/inbox/ACME.csv")
    fresh.set("as_of: '2020-01-06'", "as_of: '2020-01-07'")
    log = fresh.dvc("repro")
    warning = re.search(r"ingest: csv: bars of earlier sessions have changed: .*", log)
    assert warning is not None
    assert "1 changed (close 1): ACME 2020-01-03 close 3 -> 3.5;" in warning[0]
    back = warning[0].rpartition(": ")[2]
    fresh.run("bash", "-euc", back)
    former = tables.read(fresh.folder / "var" / "former" / "daily" / "ACME.parquet")
    now = tables.read(fresh.folder / "data" / "raw" / "daily" / "ACME.parquet")
    assert former["close"].to_list() == [2, 3, 6]
    assert now["close"].to_list() == [2, 3.5, 6, 7]
    # The list is no part of the state that is committed.
    assert "var" not in fresh.git("status", "--porcelain")
