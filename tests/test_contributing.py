"""The examples of CONTRIBUTING.md work as they stand."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from fastapi import FastAPI
from starlette.testclient import TestClient

from serve.service import service_of
from stages import sources
from stages.common import tables
from stages.common.options import validated
from stages.forecast.session import Session
from stages.forecast.training import models
from stages.indicators import definitions
from stages.indicators.panel import Panel
from tests.panels import sample
from tests.projects import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def examples(heading: str, language: str) -> Iterator[str]:
    """The examples of a section."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    yield from re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def within(module: Any, code: str) -> dict[str, Any]:
    """The names of a module after some code was added to it; the module itself is left alone."""
    names = dict(vars(module))
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # noqa: S102  # our own example
    return names


def test_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = examples("Add a source", "python")
    (tmp_path / "archive.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path)])
    bars = sample().filter(symbol="IBM").select(list(tables.RAW_DAILY)).head(5)
    bars.write_csv(tmp_path / "IBM.csv")

    assert "archive" in sources.names()
    fetch = sources.load("archive")
    (section,) = examples("Add a source", "yaml")
    assert validated(fetch, yaml.safe_load(section)["data"]["sources"]["archive"])
    request = sources.Request(("IBM",), (), date(2012, 12, 31), tmp_path)
    (series,) = fetch(request, url=str(tmp_path))
    assert (series.kind, series.symbol) == ("daily", "IBM")
    assert tables.conform(series.bars, tables.RAW_DAILY, "archive").equals(bars)


def test_the_feature() -> None:
    function, loop = examples("Add a feature", "python")
    (section,) = examples("Add a feature", "yaml")
    (window,) = yaml.safe_load(section)["features"]["garman_klass"]
    bars = sample().filter(symbol="MSFT").head(60)
    params = SimpleNamespace(garman_klass=[window])
    columns: dict[str, definitions.Feature] = {}
    names = within(definitions, function)
    exec(loop, {**names, "params": params, "columns": columns})  # noqa: S102  # our own example
    (feature,) = columns.values()
    assert list(columns) == [f"garman_klass_{window}"]
    assert feature.memory == window - 1

    values = feature.compute(Panel.of(bars, {}))
    span = (bars["high"] / bars["low"]).log().to_numpy()
    move = (bars["close"] / bars["open"]).log().to_numpy()
    variance = 0.5 * span**2 - (2 * np.log(2) - 1) * move**2
    for row in (window - 1, 40, 59):
        expected = np.sqrt(variance[row - window + 1 : row + 1].mean())
        assert values[row] == pytest.approx(expected)
    assert np.isnan(values[: window - 1]).all()


def test_the_model() -> None:
    (code,) = examples("Add a model", "python")
    (section,) = examples("Add a model", "yaml")
    fit = within(models, code)["elastic_net"]
    ((_, options),) = yaml.safe_load(section)["models"].items()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    y = x @ np.array([0.5, 0.0, -0.2]) + rng.normal(scale=0.1, size=400)
    fitted = fit(x, y, 0, **validated(fit, options))
    assert fitted.importance.sum() == pytest.approx(1)
    assert fitted.importance[0] > fitted.importance[2] > fitted.importance[1]
    (forecast,) = Session(fitted.to_onnx())(x).values()
    assert np.abs(forecast - fitted.predict(x)).max() < 1e-5
    assert "_KINDS" in vars(models)


def test_the_route() -> None:
    (code,) = examples("Add a route", "python")
    names: dict[str, Any] = {"__name__": "calendar"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)  # noqa: S102  # our own example
    app = FastAPI()
    app.include_router(names["routes"])
    first = (date(2012, 12, 28) - date(1970, 1, 1)).days
    bundle = SimpleNamespace(as_of=date(2012, 12, 31), sessions=range(first, first + 30))
    service = SimpleNamespace(forecaster=SimpleNamespace(bundle=bundle))
    app.dependency_overrides[service_of] = lambda: service
    answer = TestClient(app).get("/sessions")
    assert answer.status_code == 200
    days = answer.json()
    assert len(days) == 10
    assert days[0] == "2013-01-01"


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z0-9-]+)|`make ([a-z0-9-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{max(target)}:", makefile, re.MULTILINE), target
