"""The whole loop on past data, as `make demo-self-healing` shows it."""

import contextlib
import csv
import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

from tests.projects import ROOT, Project

# The same span, periods and faults.
DEMO = re.search(
    r"^demo-self-healing:.*\n\t@\$\(PY\) -m (monitor simulate (?:.*\\\n)*.*) \$\(ARGS\)$",
    (ROOT / "Makefile").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.slow
@pytest.mark.longest
def test_drift_is_healed_the_bad_rejected_and_the_one_that_turns_rolled_back(
    fresh: Project, tmp_path: Path
) -> None:
    assert DEMO is not None
    words = DEMO[1].replace("\\\n", " ").split()
    copy = tmp_path / "copy"
    head = fresh.git("rev-parse", "HEAD")
    output = fresh.run("python", "-m", *words, "--folder", str(copy))

    # The checkout is as it was; the results lie in var/.
    assert fresh.git("rev-parse", "HEAD") == head
    assert fresh.git("status", "--porcelain") == ""
    results = fresh.folder / "var" / "simulation" / "demo"
    with (results / "events.csv").open(encoding="utf-8") as file:
        events = list(csv.DictReader(file))
    assert json.loads((results / "events.json").read_text("utf-8")) == events
    for suffix in ("svg", "png"):
        assert (results / f"short.{suffix}").stat().st_size > 10_000

    def index(kind: str, subject: str) -> int:
        return next(
            place
            for place, event in enumerate(events)
            if event["kind"] == kind and event["subject"] == subject
        )

    # Drift is found in the first period that has it, and a challenger is trained and promoted.
    begins, alarm = index("fault", "drift"), index("drift", "short")
    healed = index("promoted", "retraining after drift")
    assert begins < alarm < healed
    assert events[alarm]["day"] == events[healed]["day"]
    assert "lane refit" in events[healed]["detail"]
    assert "short v1.1.0 in production" in events[healed]["detail"]

    # One whose intervals are worse is rejected by the gate on just that.
    rejected = events[index("rejected", "bad-challenger")]
    assert "short: crps_superior (" in rejected["detail"]
    assert "short v1.1.0 in production" in rejected["detail"]

    # One that is better is promoted, turns bad, and the former one comes back.
    better = index("promoted", "turning-challenger")
    turned, back = index("fault", "turning"), index("rolled back", "the promoted model")
    assert better < turned < back
    assert "lane change" in events[better]["detail"]
    assert "short v1.2.0 in production" in events[better]["detail"]
    assert "short v1.1.0 in production" in events[back]["detail"]

    # Each of them reached the server: its answers named the version, and so does its log.
    followed = [event["detail"] for event in events if event["kind"] == "follows"]
    assert followed == [
        f"the server answers with {name}" for name in ("v1.1.0", "v1.2.0", "v1.1.0")
    ]
    with contextlib.closing(sqlite3.connect(copy / "project" / "var" / "predictions.db")) as log:
        versions = log.execute(
            "SELECT model_version FROM prediction_logs "
            "WHERE role IS NULL AND model_version IS NOT NULL "
            "GROUP BY model_version ORDER BY min(id)"
        ).fetchall()
    assert versions == [("v1.0.0",), ("v1.1.0",), ("v1.2.0",)]

    # No request was lost meanwhile.
    (count,) = re.findall(r"([\d,]+) forecasts were asked for, 0 not answered", output)
    assert int(count.replace(",", "")) > 1_000


SHORT = (
    *("--from", "2011-01-03", "--to", "2011-04-01", "--step", "21", "--small", "--seed", "3"),
    *("--faults", "drift,bad-challenger"),
)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("CI_FULL") != "1", reason="two simulations: CI_FULL=1 runs it")
def test_the_same_seed_gives_the_same_events(fresh: Project) -> None:
    contents = []
    for name in ("one", "two"):
        fresh.run("python", "-m", "monitor", "simulate", *SHORT, "--name", name)
        results = fresh.folder / "var" / "simulation" / name
        contents.append({path.name: path.read_bytes() for path in results.iterdir()})
    assert b"drift" in contents[0]["events.csv"]
    assert b"rejected" in contents[0]["events.csv"]
    assert contents[0] == contents[1]
