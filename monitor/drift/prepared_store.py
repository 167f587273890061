"""A prepared reference on the disk: it depends only on the model and the shape of the window.

One file a horizon, `var/monitor/references/<horizon>.npz`, written anew when either changes.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.drift import prepared_reference
from monitor.drift.calibration import Calibration
from monitor.drift.prepared_reference import Prepared, Shape
from monitor.drift.window_means import Levels
from stages.common import tables
from stages.monitor_params import DriftParams

VERSION = 2
"""Of the computation: files of another version are not used."""

PARTS = ("levels", "calibration")
"""Of a prepared reference, with fields of their own."""


def key(dataset: str, window: Shape, params: DriftParams) -> str:
    """What a prepared reference depends on.

    Args:
        dataset: md5 of the training table.
        window: its shape.
        params: of the calibration.
    """
    limits = (prepared_reference.MOST, prepared_reference.MOST_REFERENCE)
    parts = [VERSION, dataset, asdict(window), params.model_dump(), limits]
    return hashlib.md5(json.dumps(parts).encode(), usedforsecurity=False).hexdigest()


def cached(path: Path, wanted: str, prepare: Callable[[], Prepared]) -> Prepared:
    """The prepared reference of a key, from the file or anew."""
    prepared = _read(path, wanted)
    if prepared is None:
        prepared = prepare()
        with tables.replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **_arrays(prepared, wanted))
    return prepared


def _arrays(prepared: Prepared, wanted: str) -> Mapping[str, NDArray[np.generic]]:
    own = {name: value for name, value in vars(prepared).items() if name not in PARTS}
    parts = {
        f"{part}_{name}": value
        for part in PARTS
        for name, value in vars(getattr(prepared, part)).items()
    }
    values = own | parts
    return {"key": np.array(wanted)} | {name: np.asarray(value) for name, value in values.items()}


def _read(path: Path, wanted: str) -> Prepared | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if str(file["key"]) != wanted:
                return None
            return Prepared(
                features=tuple(map(str, file["features"])),
                share=float(file["share"]),
                values=file["values"],
                mean=file["mean"],
                deviation=file["deviation"],
                coefficients=file["coefficients"],
                residuals=file["residuals"],
                levels=Levels(
                    mean=file["levels_mean"],
                    matrix=file["levels_matrix"],
                    greatest=file["levels_greatest"],
                    independent=float(file["levels_independent"]),
                ),
                calibration=Calibration(
                    distances=file["calibration_distances"],
                    simes=file["calibration_simes"],
                    independent=float(file["calibration_independent"]),
                    level=float(file["calibration_level"]),
                ),
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        # It is missing or damaged, and can be computed again.
        return None
