"""One project from a refusal to a promotion, a rejection and a person's word."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml
from sqlalchemy import select

from monitor.retraining import decisions, recomputation, retrain, rollback, running_lock, waiting
from monitor.retraining.decisions import Decision
from monitor.retraining.retrain import Proposal
from monitor.settings import MonitorError, Settings
from monitor.store import records
from predictions.schema import model_metadata
from tests.monitor.arena import NEWER, NEWEST, Arena, better, thresholds
from versions.repository.workspace import digest
from versions.storage import remote_config

pytestmark = pytest.mark.slow


def explained(project: Arena, decision: Decision) -> Sequence[str]:
    """What is not the same when a decision is computed again."""
    with records.opened(project.settings, read_only=True) as engine:
        return recomputation.differences(decision, project.settings, engine, project.folder)


def later(project: Arena, days: int) -> Settings:
    """The settings so many days later."""
    settings = project.settings
    return settings.model_copy(update={"now": settings.clock + timedelta(days=days)})


def test_from_a_refusal_to_a_promotion(ground: Arena) -> None:  # noqa: PLR0915  # one walk
    settings, root = ground.settings, ground.folder
    first, begin = ground.md5(), ground.head

    # Every condition that does not hold is named with its number; nothing is trained.
    strict = thresholds(retraining={"min_labels": 10_000})
    refused = retrain.run(settings, strict, Proposal("drift"), root)
    assert refused.outcome == "refused"
    assert "357 live forecasts have a label, 10,000 are needed" in refused.because
    assert "the champion was trained up to 2012-06-29: no session is newer" in refused.because
    assert ground.head == begin

    with running_lock.hold(settings, "retraining 1"), pytest.raises(MonitorError) as error:
        retrain.run(settings, strict, Proposal("drift"), root)
    assert "retraining 1 has been running since 2012-12-31 22:00 UTC" in str(error.value)
    assert f"pid {os.getpid()}" in str(error.value)

    # Newer data alone: no worse is enough. A person has the last word here.
    careful = thresholds(retraining={"approval": True})
    refit = retrain.run(settings, careful, Proposal("schedule", NEWER), root)
    assert (refit.lane, refit.outcome) == ("refit", "approval"), refit.because
    names = [gate["name"] for gate in refit.document["gates"]["short"]]
    assert "crps_no_worse" in names
    assert "f1" not in names
    assert ground.md5() == digest(root / "models" / "short" / "model.onnx") == first
    placed = ground.placed()
    assert placed is not None
    assert (placed["mode"], placed["decision_id"]) == ("shadow", refit.id)
    assert explained(ground, refit) == []
    assert ground.git("show", "--name-only", "--format=").split() == [f"decisions/{refit.id}.json"]

    # Meanwhile the bars are refreshed and the models kept: that must not be lost.
    ground.set("'2012-06-29'", f"'{NEWEST}'")
    ground.dvc("repro", "--quiet", "latest")
    ground.commit(f"Refresh to {NEWEST}")

    # With work that is not committed in the served checkout nothing moves.
    (root / "notes.txt").write_text("mine", encoding="utf-8")
    waits = waiting.approve(settings, careful, refit.id, "Ada", root)
    assert waits.outcome == "shadow"
    assert "notes.txt" in waits.because
    assert ground.md5() == first
    assert not ground.production()
    commit = ground.head
    assert waiting.judge(settings, thresholds(), root=root)[0].outcome == "shadow"
    assert ground.head == commit
    (root / "notes.txt").unlink()
    (promoted,) = waiting.judge(settings, thresholds(), root=root)
    assert promoted.outcome == "promoted", promoted.because

    assert ground.md5() == promoted.document["models"]["challenger"]["short"]["model.onnx"]
    assert ground.md5() == digest(root / "models" / "short" / "model.onnx") != first
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    assert params["data"]["as_of"] == str(NEWEST)
    latest = json.loads((root / "models" / "latest.json").read_text(encoding="utf-8"))
    assert latest == {"as_of": str(NEWEST)}
    assert ground.git("status", "--porcelain") == ""
    released, served = ground.production()
    assert released == begin
    assert ground.git("rev-parse", "HEAD~1").strip() == served
    stored = json.loads((root / "decisions" / f"{refit.id}.json").read_text(encoding="utf-8"))
    assert stored["outcome"] == "promoted"
    assert [each["outcome"] for each in stored["history"]] == ["approval", "shadow"]
    assert explained(ground, promoted) == []
    placed = ground.placed()
    assert placed is not None
    assert placed["model_md5"] == first
    assert placed["version"] == "v1.0.0"
    with records.opened(settings) as engine, engine.connect() as connection:
        rows = connection.execute(select(model_metadata.c.place, model_metadata.c.version))
        assert ("production", "v1.1.0") in {tuple(row) for row in rows}

    # A cooldown follows, and is named.
    refused = retrain.run(settings, thresholds(), better(), root)
    assert refused.outcome == "refused"
    assert "a challenger was trained 0.0 days ago, 7 days must pass" in refused.because


def test_two_horizons_move_together_once_the_remote_is_there(ground: Arena) -> None:
    settings, root, params = ground.settings, ground.folder, thresholds()
    trained = {"short": ground.head}
    ground.set("  short: 1\n", "  short: 1\n  long: 3\n")
    ground.dvc("repro", "--quiet")
    # As in a fresh clone of the project.
    ground.dvc("remote", "modify", "storage", "url", f"s3://{remote_config.UNSET}/cache")
    begin = trained["long"] = ground.commit("Another horizon, and no bucket yet")
    names = ("short", "long")
    first = {name: ground.md5(name) for name in names}
    with records.opened(settings) as engine:
        ground.log(engine, first["long"], horizon=("long", 3))

    waits = retrain.run(settings, params, better(horizon="long", force=True), root)
    assert (waits.lane, waits.outcome) == ("change", "shadow"), waits.because
    assert "it could not be promoted: the remote must hold what is promoted: " in waits.because
    assert "make remote" in waits.because
    assert waits.document["lead"] == "long"
    gate_names = {
        name: {gate["name"] for gate in gates} for name, gates in waits.document["gates"].items()
    }
    assert "crps_superior" in gate_names["long"]
    assert "crps_no_worse" in gate_names["short"]
    placed = [ground.placed(name) for name in names]
    assert all(each is not None and each["decision_id"] == waits.id for each in placed)
    assert {name: ground.md5(name) for name in names} == first
    assert ground.git("status", "--porcelain") == ""
    assert ground.git("rev-parse", "HEAD~1").strip() == begin
    # Looked at each hour, it adds nothing to the history of git.
    (again,) = waiting.judge(settings, params, root=root)
    assert (again.outcome, ground.git("rev-parse", "HEAD~1").strip()) == ("shadow", begin)

    ground.dvc("remote", "modify", "--local", "storage", "url", str(root / "var" / "remote"))
    (promoted,) = waiting.judge(settings, params, root=root)
    assert promoted.outcome == "promoted", promoted.because
    second = {name: ground.md5(name) for name in names}
    for name in names:
        model = digest(root / "models" / name / "model.onnx")
        assert second[name] == model != first[name]
        assert ground.production(name) == [trained[name], ground.head]
        former = ground.placed(name)
        assert former is not None
        assert (former["model_md5"], former["version"]) == (first[name], "v1.0.0")

    back = rollback.now(settings, params, "Ada", root)
    assert (back.outcome, back.decided_by) == ("rolled back", "Ada")
    for name in names:
        assert ground.md5(name) == digest(root / "models" / name / "model.onnx") == first[name]
        assert ground.production(name)[2:] == [trained[name]]
        assert ground.placed(name) is None


def test_a_change_is_promoted_only_if_it_is_better(ground: Arena) -> None:
    root, first, params = ground.folder, ground.md5(), thresholds()
    worse = retrain.run(ground.settings, params, better(alpha=70.0), root)
    assert (worse.lane, worse.outcome) == ("change", "rejected"), worse.because
    assert "short: crps_superior" in worse.because
    assert worse.document["differences"] == {"short": ["models.ridge.alpha"]}
    assert ground.md5() == first
    assert ground.placed() is None
    assert explained(ground, worse) == []
    gates = {**worse.document["gates"]}
    gates["short"] = [gate | {"answer": "pass"} for gate in gates["short"]]
    forged = replace(worse, document={**worse.document, "gates": gates})
    assert any("'pass' then, 'fail' now" in line for line in explained(ground, forged))

    # What is trained already, as an experiment or a commit, is judged alike.
    head = ground.head
    name = f"refs/exps/{head[:2]}/{head[2:]}/tried"
    ground.git("update-ref", name, str(worse.challenger))
    for revision in ("tried", str(worse.challenger)):
        proposal = Proposal("manual", revision=revision, force=True, by="Ada")
        again = retrain.run(ground.settings, params, proposal, root)
        assert (again.outcome, again.challenger) == ("rejected", worse.challenger), again.because
        # All but the time of a row, which is measured anew.
        answers = [
            [each["answer"] for each in decision.document["gates"]["short"]]
            for decision in (again, worse)
        ]
        assert answers[0] == answers[1]
    ground.git("update-ref", "refs/exps/00/other/tried", head)
    ambiguous = Proposal("manual", revision="tried", force=True)
    assert (
        "2 experiments are named tried"
        in retrain.run(ground.settings, params, ambiguous, root).because
    )

    # As wrong on the other side: the champion stays, and a person ends it.
    loose = thresholds(gates={"f1_gain": None})
    equal = retrain.run(later(ground, 8), loose, better(alpha=126.0), root)
    assert equal.outcome == "shadow", equal.because
    placed = ground.placed()
    assert placed is not None
    assert placed["decision_id"] == equal.id
    word = waiting.Rejection("Ada", "not worth the disk")
    ended = waiting.reject(later(ground, 8), params, equal.id, word, root)
    assert (ended.outcome, ended.decided_by) == ("rejected", "Ada")
    assert ground.placed() is None
    with pytest.raises(MonitorError, match="rejected"):
        waiting.approve(later(ground, 8), params, equal.id, "Ada", root)
    with records.opened(ground.settings) as engine, engine.connect() as connection:
        assert [each.outcome for each in decisions.listed(connection)] == [
            *("rejected", "rejected", "rejected", "failed"),
            "rejected",
        ]
