"""Compares the newest forecasts of a horizon with what their model was trained on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from sqlalchemy import Engine

from monitor import live_forecasts
from monitor.drift import (
    drift_comparison,
    drift_reference,
    prepared_reference,
    prepared_store,
    proxies,
    report_process,
)
from monitor.drift.drift_comparison import Comparison
from monitor.drift.drift_reference import Reference
from monitor.drift.prepared_reference import Prepared
from monitor.drift.proxies import Proxy
from monitor.live_forecasts import Window
from monitor.settings import MonitorError, Settings
from monitor.store import records
from stages.common import tables
from stages.common.errors import StageError
from stages.common.sections import DataParams, Horizons, Sections
from stages.monitor_params import DriftParams, MonitorParams

DRIFT = "drift"
"""The folder of the results, within `var/monitor/`."""

REFERENCES = "references"
"""The folder of the pinned training tables, within `var/monitor/`."""


class Pipeline(Sections):
    """The params of the pipeline that a check needs."""

    data: DataParams
    horizons: Horizons


@dataclass(frozen=True)
class Drift:
    """What a check found.

    Attributes:
        horizon: of the forecasts.
        model_md5: of the model that made the newest of them; empty without forecasts.
        rows: of the window.
        first, last: sessions of its bars.
        drifted: names of the features that drifted.
        share: of the features.
        alarm: whether the window differs more than the stated share of windows without drift.
        p: at most this share of windows without drift differs as much; None if not compared.
        problem: why nothing could be compared, or the report is missing; None if all is well.
        comparison: of the features; None if not compared.
        predictions: the forecasts' own distribution.
        report: Evidently's, as HTML; empty if there is none.
        scores: Evidently's distance of each feature, beside the report.
    """

    horizon: str
    model_md5: str = ""
    rows: int = 0
    first: date | None = None
    last: date | None = None
    drifted: tuple[str, ...] = ()
    share: float = 0.0
    alarm: bool = False
    p: float | None = None
    problem: str | None = None
    comparison: Comparison | None = None
    predictions: tuple[Proxy, ...] = ()
    report: str = ""
    scores: Mapping[str, float] | None = None


class _Compared(NamedTuple):
    """What the report needs."""

    reference: Reference
    inputs: pl.DataFrame
    prepared: Prepared


def check(  # noqa: PLR0913  # only the report is optional
    engine: Engine,
    settings: Settings,
    thresholds: MonitorParams,
    horizon: str,
    today: date,
    *,
    with_report: bool = True,
) -> Drift:
    """Compare, store the numbers, and write `var/monitor/drift/<horizon>.json` and `.html`.

    Args:
        engine: of the log.
        settings: where the files go.
        thresholds: only `drift` is read.
        horizon: whose forecasts.
        today: no forecast of a later bar counts.
        with_report: whether Evidently writes its report, which takes seconds.
    """
    try:
        drift, compared = _compared(engine, settings, thresholds.drift, horizon, today)
    except StageError as error:
        drift, compared = Drift(horizon, problem=str(error)), None
    if compared is not None and with_report:
        drift = _reported(drift, settings.folder / DRIFT / f"{horizon}.html", compared)
    path = settings.folder / DRIFT / f"{horizon}.json"
    text = json.dumps(document(drift), indent=2) + "\n"
    # For the same window as before, the numbers of its features are in the history already.
    known = path.exists() and path.read_text(encoding="utf-8") == text
    with tables.replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    with records.writing(engine, settings) as rows:
        for name, value in measurements(drift).items():
            rows.metric(name, value, {"horizon": horizon})
        for feature in drift.comparison.features if drift.comparison and not known else ():
            p = min(feature.p, feature.relation_p, feature.level_p)
            rows.metric("drift_p", p, {"horizon": horizon, "feature": feature.name})
    return drift


def measurements(drift: Drift) -> Mapping[str, float | None]:
    """The numbers of a check that have a history."""
    compared = drift.comparison is not None
    return {
        "drift_rows": drift.rows,
        "drift_share": drift.share if compared else None,
        "drift_features": len(drift.drifted) if compared else None,
        "drift_alarm": float(drift.alarm) if compared else None,
        **{proxy.name: proxy.value for proxy in drift.predictions},
    }


def _compared(
    engine: Engine, settings: Settings, params: DriftParams, horizon: str, today: date
) -> tuple[Drift, _Compared | None]:
    # More are read than needed: forecasts of one bar by several models become one row.
    window = Window(horizon, until=today, newest=2 * params.window)
    newest = live_forecasts.read(engine, Window(horizon, until=today, newest=1))
    if newest.is_empty():
        raise MonitorError(f"no forecast of horizon {horizon} up to {today} is in the log")
    model = str(newest["model_md5"][0])
    reference = drift_reference.load(settings.folder / REFERENCES, horizon, model)
    keys, inputs = _newest(
        *live_forecasts.read_inputs(engine, window, reference.features), model, params.window
    )
    first, last = keys["as_of"].min(), keys["as_of"].max()
    named = Drift(horizon, model, keys.height, first, last)  # type: ignore[arg-type]
    if keys.height < drift_comparison.LEAST:
        return replace(
            named,
            problem=f"{keys.height} forecasts of horizon {horizon} are in the log, and a "
            f"comparison needs {drift_comparison.LEAST}; it begins by itself when they are there",
        ), None
    own = keys.filter(pl.col("model_md5") == model)
    predictions = proxies.compare(own, reference.forecasts, params.resamples, params.seed)
    named = replace(named, predictions=predictions)
    try:
        shape = prepared_reference.shape(keys)
        prepared = prepared_store.cached(
            settings.folder / REFERENCES / f"{horizon}.npz",
            prepared_store.key(reference.pins.dataset, shape, params),
            lambda: prepared_reference.prepare(reference.rows, shape, params),
        )
    except MonitorError as error:
        return replace(named, problem=str(error)), None
    compared = drift_comparison.compare(prepared, inputs, params.seed)
    drifted = compared.drifted
    drift = replace(
        named,
        comparison=compared,
        drifted=drifted,
        share=len(drifted) / len(compared.features),
        alarm=bool(drifted),
        p=compared.p,
    )
    return drift, _Compared(reference, inputs, prepared)


def _newest(
    keys: pl.DataFrame, inputs: pl.DataFrame, model: str, rows: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The newest rows, one a symbol and bar; a former model's only if it knew all features."""
    place = "row"
    whole = inputs.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    chosen = (
        keys.with_row_index(place)
        .filter((pl.col("model_md5") == model) | whole)
        .unique(["symbol", "as_of"], keep="last", maintain_order=True)
        .tail(rows)
    )
    return chosen.drop(place), inputs[chosen[place]]


def _reported(drift: Drift, html: Path, compared: _Compared) -> Drift:
    """Evidently's report, unless it is there for this very window."""
    key = hashlib.md5(usedforsecurity=False)
    for part in (compared.reference.pins.dataset, repr(drift.comparison)):
        key.update(part.encode())
    scores_file = html.with_suffix(".scores.json")
    if html.exists() and scores_file.exists():
        former = json.loads(scores_file.read_bytes())
        if former["window"] == key.hexdigest():
            return replace(drift, report=str(html), scores=former["scores"])
    try:
        scores = report_process.write(
            compared.reference.rows, compared.inputs, _thresholds(compared.prepared), html
        )
    except MonitorError as error:
        html.unlink(missing_ok=True)
        return replace(drift, problem=str(error))
    with tables.replacing(scores_file) as partial:
        text = json.dumps({"window": key.hexdigest(), "scores": scores})
        partial.write_text(text, encoding="utf-8")
    return replace(drift, report=str(html), scores=scores)


def _thresholds(prepared: Prepared) -> dict[str, float]:
    """For each feature, the distance beyond which it has drifted when it is tested alone."""
    drawn = prepared.calibration.distances
    alone = np.quantile(drawn, 1 - prepared.calibration.level / len(drawn.T), axis=0)
    return dict(zip(prepared.features, map(float, alone[: len(prepared.features)]), strict=True))


def document(drift: Drift) -> dict[str, Any]:
    """A check as JSON."""
    return {
        **asdict(drift),
        "first": drift.first and drift.first.isoformat(),
        "last": drift.last and drift.last.isoformat(),
    }
