"""Challengers: which are used, which are refused with a reason, and whom a canary answers."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serve.checkout import challengers
from serve.checkout.bundle import Bundle
from serve.checkout.challengers import Announced, Challenger, Challengers
from tests.serve.challenging import COMMIT, FEATURES, card, graph, put, take


def joined(bundle: Bundle, var: Path) -> Challengers:
    """The challengers of a folder, joined with the bundle that serves."""
    challengers = Challengers(var, Path("challengers"))
    challengers.join(bundle)
    return challengers


def test_a_challenger_may_take_features_that_the_champion_does_not(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    assert FEATURES[0] not in small_bundle.models["short"].card.features
    md5 = put(tmp_path, graph(), mode="canary", share=0.25, version="v1.2.0")
    challengers = joined(small_bundle, tmp_path)
    assert challengers.refused == {}
    challenger = challengers.of("short", small_bundle)
    assert challenger is not None
    reference = {"revision": COMMIT, "md5": md5, "version": "v1.2.0"}
    assert challenger.bundle.reference("short") == reference
    rows = challenger.bundle.rows["IBM"]
    own = small_bundle.latest.filter(pl.col("symbol") == "IBM")
    assert rows.days.tolist() == own["date"].to_physical().to_list()
    expected = own.select(FEATURES).cast(pl.Float32).to_numpy()
    np.testing.assert_array_equal(rows.features["short"], expected)
    # The bundle that serves is unchanged.
    assert small_bundle.rows["IBM"].features["short"].shape[1] > len(FEATURES)


@pytest.mark.parametrize(
    ("content", "document", "fields", "facts"),
    [
        (graph(), card(), {"model_md5": "0" * 32}, ("model.onnx: md5 is ", f"has {'0' * 32}")),
        (b"no graph", card(), {}, ("model.onnx: cannot be read",)),
        (graph()[:-40], card(), {}, ("model.onnx: ",)),
        (graph(), card((*FEATURES, "a")), {}, ("takes 2 features", "card.json names 3")),
        (graph(), card(("a", "b")), {}, ("card.json: names a, b", "latest.parquet does not have")),
        (graph(), card(sessions=5), {}, ("card.json", "short over 5", "has short over 1")),
        (graph(), card(horizon="long"), {}, ("card.json", "long over 1", "has short over 1")),
        (graph(), {"horizon": "short"}, {}, ("card.json: sessions: ", "required")),
        (graph(intercept=math.inf), card(), {}, ("model.onnx", "no finite forecast")),
        (graph(), card(), {"horizon": "weekly"}, ("no horizon weekly", "it has short")),
        (graph(), card(), {"mode": "canary", "share": None}, ("challenger.json", "share")),
        (graph(), card(), {"mode": "champion"}, ("challenger.json: mode: ",)),
        (graph(), card(), {"commit": "main; rm"}, ("challenger.json: commit: ",)),
        (graph(), card(), {"version": "v1\x00"}, ("challenger.json: version: ",)),
    ],
)
def test_one_that_cannot_be_used_is_refused_with_a_line(  # noqa: PLR0917  # pytest gives them
    small_bundle: Bundle,
    tmp_path: Path,
    content: bytes,
    document: dict[str, Any],
    fields: dict[str, Any],
    facts: tuple[str, ...],
) -> None:
    put(tmp_path, content, document, **fields)
    challengers = joined(small_bundle, tmp_path)
    assert challengers.ready == {}
    ((horizon, problem),) = challengers.refused.items()
    assert horizon == fields.get("horizon", "short")
    assert problem.startswith("challengers/")
    assert "\n" not in problem
    for fact in facts:
        assert fact in problem


@pytest.mark.parametrize("name", ["challenger.json", "card.json", "model.onnx"])
def test_a_missing_file_is_named(small_bundle: Bundle, tmp_path: Path, name: str) -> None:
    put(tmp_path, graph())
    (tmp_path / "challengers/short" / name).unlink()
    challengers = joined(small_bundle, tmp_path)
    assert challengers.refused == {"short": f"challengers/short/{name}: no such file or directory"}


def test_the_model_that_serves_is_not_its_own_challenger(
    small_models: Path, small_bundle: Bundle, tmp_path: Path
) -> None:
    content = (small_models / "models/short/model.onnx").read_bytes()
    champion = small_bundle.models["short"]
    put(tmp_path, content, dict(champion.document))
    problem = joined(small_bundle, tmp_path).refused["short"]
    assert f"{champion.md5} is the model that serves" in problem


def test_one_that_would_keep_answers_waiting_is_refused(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challengers, "SLOWEST", 0.0)
    put(tmp_path, graph())
    assert "ms for a row" in joined(small_bundle, tmp_path).refused["short"]


def test_it_comes_changes_and_goes_with_its_folder(small_bundle: Bundle, tmp_path: Path) -> None:
    challengers = joined(small_bundle, tmp_path)
    assert (challengers.changed, dict(challengers.ready)) == (False, {})

    put(tmp_path, graph())
    assert challengers.changed
    challengers.look()
    first = challengers.of("short", small_bundle)
    assert first is not None
    challengers.look()
    assert challengers.of("short", small_bundle) is first

    put(tmp_path, graph(), mode="canary")
    assert challengers.changed
    challengers.look()
    second = challengers.of("short", small_bundle)
    assert second is not None
    assert second.announced.mode == "canary"

    # A folder that is not complete has a name with a dot.
    (tmp_path / "challengers/short").rename(tmp_path / "challengers/.short")
    assert challengers.changed
    challengers.look()
    assert (challengers.of("short", small_bundle), dict(challengers.refused)) == (None, {})
    (tmp_path / "challengers/.short").rename(tmp_path / "challengers/short")
    challengers.look()
    assert challengers.of("short", small_bundle) is not None
    take(tmp_path)
    challengers.look()
    assert (dict(challengers.ready), challengers.changed) == ({}, False)


def test_another_revision_gets_it_on_its_own_bars_without_reading_it_again(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    put(tmp_path, graph())
    challengers = joined(small_bundle, tmp_path)
    first = challengers.of("short", small_bundle)
    newer = dataclasses.replace(
        small_bundle, latest=small_bundle.latest.filter(pl.col("symbol") != "IBM")
    )
    assert challengers.of("short", newer) is None
    challengers.join(newer)
    second = challengers.of("short", newer)
    assert first is not None
    assert second is not None
    assert second.model is first.model
    assert set(first.bundle.rows) - set(second.bundle.rows) == {"IBM"}
    assert challengers.of("short", small_bundle) is None
    # One that has none of its features refuses it, and the next one takes it again.
    challengers.join(dataclasses.replace(newer, latest=newer.latest.drop(FEATURES[0])))
    assert FEATURES[0] in challengers.refused["short"]
    challengers.join(newer)
    assert challengers.of("short", newer) is not None


def test_a_folder_that_cannot_be_listed_has_no_challengers(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "challengers").write_text("a file", encoding="utf-8")
    assert dict(joined(small_bundle, tmp_path).ready) == {}
    (tmp_path / "challengers").unlink()
    (tmp_path / "challengers").mkdir()
    (tmp_path / "challengers" / "short").symlink_to(tmp_path / "nowhere")
    assert dict(joined(small_bundle, tmp_path).refused) == {}


def canary(bundle: Bundle, share: float, md5: str) -> Challenger:
    announced = Announced(commit=COMMIT, model_md5=md5, mode="canary", share=share)
    return Challenger(announced, bundle, bundle)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_a_canary_answers_its_share_of_the_keys_and_always_the_same(
    small_bundle: Bundle, share: float
) -> None:
    keys = [f"desk-{number}" for number in range(4000)]
    challenger = canary(small_bundle, share, "a" * 32)
    chosen = {key for key in keys if challenger.answers(key)}
    # Four standard deviations of a binomial count.
    deviation = 4 * math.sqrt(len(keys) * share * (1 - share))
    assert abs(len(chosen) - share * len(keys)) <= deviation
    again = canary(small_bundle, share, "a" * 32)
    assert {key for key in keys if again.answers(key)} == chosen
    # A larger share keeps the callers of a smaller one; the next challenger answers others.
    larger = canary(small_bundle, min(1.0, share + 0.1), "a" * 32)
    assert all(larger.answers(key) for key in chosen)
    if 0 < share < 1:
        other = canary(small_bundle, share, "b" * 32)
        both = sum(other.answers(key) for key in chosen)
        expected = share * len(chosen)
        assert abs(both - expected) <= 4 * math.sqrt(expected * (1 - share))
