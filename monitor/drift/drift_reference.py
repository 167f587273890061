"""What a served model was trained on, pinned by md5: the reference of every comparison.

The md5 of the model names a commit, whose `dvc.lock` names the md5 of the dataset. Its files are
copied from the DVC cache to `var/monitor/references/<md5>.parquet` once and never rewritten; each
reading compares their bytes with their names. So a reference outlives `dvc gc` and a moved branch.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from monitor.settings import MonitorError
from stages.common import tables
from stages.common.errors import VersionError
from stages.common.paths import DATASETS, MODELS
from versions.repository import commits, dvc_cache, lock
from versions.repository.workspace import digest

PARTS = ("train", "purged", "test")
"""Files of a dataset that the served refit was trained on."""

FORECASTS = "forecasts"
"""The revision's own forecasts of its hold-out."""

SPREAD = ("forecast", "lower", "upper", "probability", "scale")
"""Columns of a forecast."""

KEYS = ("symbol", "date", "target_date", "close", "target")
"""Columns of a dataset that are not features."""


@dataclass(frozen=True)
class Pins:
    """Where a model's reference is.

    Attributes:
        commit: whose `dvc.lock` has the model; empty if only that of the working tree has it.
        dataset: the md5 of the dataset's folder.
        files: the md5 of each part of it and of the forecasts.
    """

    commit: str
    dataset: str
    files: dict[str, str]


@dataclass(frozen=True)
class Reference:
    """The training table of a model, and its forecasts of the hold-out.

    Attributes:
        model_md5: of `model.onnx`.
        pins: the revision and the md5s of its files.
        rows: `symbol, date` and the features, sorted by date and symbol.
        forecasts: `symbol, date, forecast, lower, upper, probability, scale`, sorted alike.
    """

    model_md5: str
    pins: Pins
    rows: pl.DataFrame
    forecasts: pl.DataFrame

    @property
    def features(self) -> list[str]:
        """Names of the features."""
        return self.rows.columns[2:]


def load(folder: Path, horizon: str, model_md5: str) -> Reference:
    """The reference of a model.

    Args:
        folder: of the pinned files.
        horizon: of the model.
        model_md5: of its `model.onnx`.

    Raises:
        MonitorError: no revision here has the model, its dataset is not in the DVC cache, or a
            pinned file was changed.
    """
    note = folder / f"{horizon}-{model_md5}.json"
    pins = Pins(**json.loads(note.read_bytes())) if note.exists() else _find(horizon, model_md5)
    _copy(folder, horizon, pins)
    if not note.exists():
        with tables.replacing(note) as partial:
            partial.write_text(json.dumps(asdict(pins), indent=2) + "\n", encoding="utf-8")
    parts = [_read(folder / f"{pins.files[name]}.parquet") for name in PARTS]
    rows = pl.concat([part for part in parts if part.height])
    features = [name for name in rows.columns if name not in KEYS]
    forecasts = _read(folder / f"{pins.files[FORECASTS]}.parquet")
    return Reference(
        model_md5,
        pins,
        rows.select("symbol", "date", *features).sort("date", "symbol"),
        forecasts.select("symbol", "date", *SPREAD).sort("date", "symbol"),
    )


def _find(horizon: str, model_md5: str) -> Pins:
    """The md5s of a model's reference, by the newest commit that has it or the working tree."""
    commit, locked = _revision(horizon, model_md5)
    outs = [(DATASETS / horizon).as_posix(), (MODELS / horizon / f"{FORECASTS}.parquet").as_posix()]
    for path in outs:
        if path not in locked.outs:
            raise MonitorError(f"dvc.lock of {commit[:7] or 'the working tree'} lacks {path}")
    dataset, forecasts = (locked.outs[path].md5 for path in outs)
    listed = json.loads(_object(dataset, horizon, commit).read_bytes())
    files = {entry["relpath"].removesuffix(".parquet"): entry["md5"] for entry in listed}
    return Pins(commit, dataset, {name: files[name] for name in PARTS} | {FORECASTS: forecasts})


def _copy(folder: Path, horizon: str, pins: Pins) -> None:
    missing = [md5 for md5 in pins.files.values() if not (folder / f"{md5}.parquet").exists()]
    for md5 in missing:
        with tables.replacing(folder / f"{md5}.parquet") as partial:
            shutil.copyfile(_object(md5, horizon, pins.commit), partial)


def _revision(horizon: str, model_md5: str) -> tuple[str, lock.Lock]:
    path = (MODELS / horizon / "model.onnx").as_posix()
    try:
        sightings = commits.search(model_md5).sightings
    except VersionError:
        sightings = ()
    for sighting in sightings:
        if path in sighting.paths:
            return sighting.commit.id, lock.at(sighting.commit.id)
    try:
        locked = lock.read()
    except VersionError:
        locked = lock.Lock({})
    if path in locked.outs and locked.outs[path].md5 == model_md5:
        return "", locked
    raise MonitorError(
        f"no commit here has the model {model_md5[:8]} of horizon {horizon}, which made the newest "
        "forecasts; `git fetch --tags` brings those of others"
    )


def _object(md5: str, horizon: str, commit: str) -> Path:
    path = dvc_cache.path(md5)
    if path.exists():
        return path
    remedy = (
        f"`make pull`, or of an older revision `git checkout {commit[:7]}` and "
        f"`dvc fetch {DATASETS / horizon} {MODELS / horizon / FORECASTS}.parquet`"
        if commit
        else "`dvc repro`"
    )
    raise MonitorError(
        f"the DVC cache lacks {md5}, part of what the model of horizon {horizon} was trained on; "
        f"run {remedy}"
    )


def _read(path: Path) -> pl.DataFrame:
    md5 = digest(path)
    if md5 != path.stem:
        raise MonitorError(
            f"{path} has the md5 {md5}, so it was changed; remove it, and it is copied from the "
            "DVC cache again"
        )
    return tables.read(path)
