"""The whole loop on past data, as `make demo-self-healing` shows it."""

import csv
import json
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
def test_drift_is_healed_the_bad_rejected_and_the_one_that_turns_rolled_back(
    fresh: Project, tmp_path: Path
) -> None:
    assert DEMO is not None
    words = DEMO[1].replace("\\\n", " ").split()
    copy = tmp_path / "copy"
    head = fresh.git("rev-parse", "HEAD")
    told = fresh.run("python", "-m", *words, "--folder", str(copy))

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
    begins, found = index("fault", "drift"), index("drift", "short")
    healed = index("promoted", "retraining after drift")
    assert begins < found < healed
    assert events[found]["day"] == events[healed]["day"]
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

    # Each promotion reached the server: its answers named the version.
    database = copy / "project" / "var" / "predictions.db"
    with sqlite3.connect(database) as connection:
        answered = connection.execute(
            "SELECT model_version, max(as_of) FROM prediction_logs WHERE role IS NULL "
            "GROUP BY model_version ORDER BY min(id)"
        ).fetchall()
    connection.close()
    assert [version for version, _ in answered] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    assert answered[1][1] == events[-1]["day"]

    # No request was lost meanwhile.
    (count,) = re.findall(r"([\d,]+) forecasts were asked for, 0 not answered", told)
    assert int(count.replace(",", "")) > 1_200
