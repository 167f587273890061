"""Intervals that the monitor has corrected: off by default, shown, or served."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serve.app import create
from serve.checkout.bundle import Bundle
from serve.forecasts.adaptive_intervals import FILE, AdaptiveIntervals
from serve.server_settings import Settings
from tests.serve.challenging import graph, put

BOUNDS = ("lower_return", "upper_return", "lower_close", "upper_close")


def wrote(var: Path, md5: str, **changed: Any) -> None:
    """What the monitor writes."""
    correction = {
        "model_md5": md5,
        "factor_lower": 1.5,
        "factor_upper": 0.5,
        "updated_to": "2012-12-28",
        "outcomes": 250,
        **changed,
    }
    path = var / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"short": correction, "other": correction}), encoding="utf-8")
    partial.rename(path)


@contextmanager
def served(root: Path, var: Path, **settings: Any) -> Iterator[TestClient]:
    with TestClient(create(Settings(root=root, var=var, **settings))) as client:
        yield client


def predict_and_log(client: TestClient) -> tuple[dict[str, Any], dict[str, Any]]:
    """An answer, and the same forecast as the log has it."""
    answer = client.post("/predict/short", json={"symbol": "IBM"}).json()
    return answer, client.get(f"/predictions/{answer['id']}").json()


def test_each_setting(small_models: Path, small_bundle: Bundle, tmp_path: Path) -> None:
    wrote(tmp_path, small_bundle.models["short"].md5)
    with served(small_models, tmp_path) as client:
        own, logged = predict_and_log(client)
        assert set(own["interval"]) == {"level", *BOUNDS}
        assert logged["interval"] == own["interval"]
        assert "adaptive_intervals" not in client.get("/health").json()["checks"]
    centre, close, interval = own["predicted_return"], own["last_close"], own["interval"]
    lower = centre - 1.5 * (centre - interval["lower_return"])
    upper = centre + 0.5 * (interval["upper_return"] - centre)
    corrected = {
        "lower_return": pytest.approx(lower),
        "upper_return": pytest.approx(upper),
        "lower_close": pytest.approx(close * (1 + lower)),
        "upper_close": pytest.approx(close * (1 + upper)),
    }
    with served(small_models, tmp_path, adaptive_intervals="show") as client:
        answer, logged = predict_and_log(client)
        adapted = answer["interval"].pop("adapted")
        assert adapted == {**corrected, "updated_to": "2012-12-28"}
        assert answer["interval"] == logged["interval"] == interval
        assert client.get("/health").json()["checks"]["adaptive_intervals"]["status"] == "ok"
    with served(small_models, tmp_path, adaptive_intervals="serve") as client:
        answer, logged = predict_and_log(client)
        former = answer["interval"].pop("own")
        assert former == {**{name: interval[name] for name in BOUNDS}, "updated_to": "2012-12-28"}
        assert answer["interval"] == {"level": interval["level"], **corrected}
        # The log has the model's own: it can be replayed, and judged.
        assert logged["interval"] == interval
        rows = {"horizon": "short", "rows": [{"symbol": "IBM"}]}
        (of_batch,) = client.post("/batch-predict", json=rows).json()["predictions"]
        assert of_batch["interval"] == {**answer["interval"], "own": former}


def test_another_model_keeps_its_own(
    small_models: Path, small_bundle: Bundle, tmp_path: Path
) -> None:
    wrote(tmp_path, small_bundle.models["short"].md5)
    put(tmp_path, graph(), mode="canary", share=1.0)
    with served(small_models, tmp_path, adaptive_intervals="serve") as client:
        answer, _ = predict_and_log(client)
        assert answer["model"]["role"] == "canary"
        assert set(answer["interval"]) == {"level", *BOUNDS}


def interval(centre: float, lower: float, close: float | None) -> dict[str, Any]:
    bounds = dict.fromkeys(BOUNDS, 0.0) | {"lower_return": lower, "level": 0.9}
    model = {"md5": "a" * 32}
    return {
        "horizon": "short",
        "predicted_return": centre,
        "last_close": close,
        "model": model,
        "interval": bounds,
    }


def test_nothing_loses_more_than_its_value_and_unknown_closes_stay_unknown(tmp_path: Path) -> None:
    wrote(tmp_path, "a" * 32, factor_lower=4.0)
    answer = interval(0.0, -0.35, None)
    AdaptiveIntervals(tmp_path, "show").correct(answer)
    adapted = answer["interval"]["adapted"]
    assert (adapted["lower_return"], adapted["lower_close"], adapted["upper_close"]) == (
        -1.0,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        ("{", "JSON"),
        ('{"short": {"model_md5": "x"}}', "short.factor_lower"),
        ('{"short": 3}', "short"),
        ("[]", "intervals.json: Input should be an object"),
    ],
)
def test_a_file_that_cannot_be_read_corrects_nothing_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, fact: str
) -> None:
    wrote(tmp_path, "a" * 32)
    intervals = AdaptiveIntervals(tmp_path, "show")
    assert intervals.problem is None
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    intervals.refresh()
    assert fact in str(intervals.problem)
    answer = interval(0.0, -0.1, 1.0)
    intervals.correct(answer)
    assert "adapted" not in answer["interval"]
    intervals.refresh()
    assert sum("intervals are not corrected" in line for line in caplog.messages) == 1
    wrote(tmp_path, "a" * 32)
    intervals.refresh()
    intervals.correct(answer)
    assert (intervals.problem, "adapted" in answer["interval"]) == (None, True)
    (tmp_path / FILE).unlink()
    intervals.refresh()
    again = interval(0.0, -0.1, 1.0)
    intervals.correct(again)
    assert (intervals.problem, "adapted" in again["interval"]) == (None, False)


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
def test_a_factor_that_is_no_size_is_refused(tmp_path: Path, factor: float) -> None:
    wrote(tmp_path, "a" * 32, factor_upper=factor)
    assert "factor_upper" in str(AdaptiveIntervals(tmp_path, "serve").problem)
