"""Evidently's report of a window: `python -m monitor.drift.evidently_report FOLDER`.

Evidently takes seconds and 300 MB to import, so nothing else imports it. The folder has
`reference.parquet`, `current.parquet` and `thresholds.json`, the distance of each column from which
on it counts as drifted. It gets `scores.json`, the distance of each column, and `report.html`.
"""

import json
import os
import sys
from pathlib import Path

# Evidently reads it when it is imported.
os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.presets import DataDriftPreset
from scipy.stats import ks_2samp

DISTANCE = StatTest(
    name="calibrated_ks",
    display_name="Kolmogorov-Smirnov distance, threshold calibrated by windows of the reference",
    allowed_feature_types=[ColumnType.Numerical],
)


def distance(
    reference: pd.Series, current: pd.Series, _: ColumnType, threshold: float
) -> tuple[float, bool]:
    """The distance, and whether it is beyond the threshold."""
    value = float(ks_2samp(reference, current).statistic)
    return value, value > threshold


register_stattest(DISTANCE, distance)


def main() -> None:
    """Write the scores and the report."""
    folder = Path(sys.argv[1])
    thresholds = json.loads((folder / "thresholds.json").read_bytes())
    columns = list(thresholds)
    definition = DataDefinition(numerical_columns=columns)
    current, reference = (
        Dataset.from_pandas(
            pd.read_parquet(folder / f"{name}.parquet", columns=columns), definition
        )
        for name in ("current", "reference")
    )
    preset = DataDriftPreset(
        columns=columns, num_method=DISTANCE, per_column_threshold=thresholds, drift_share=0.2
    )
    run = Report([preset]).run(current, reference)
    scores = {
        metric["config"]["column"]: metric["value"]
        for metric in json.loads(run.json())["metrics"]
        if "column" in metric["config"]
    }
    run.save_html(str(folder / "report.html"))
    (folder / "scores.json").write_text(json.dumps(scores), encoding="utf-8")


if __name__ == "__main__":
    main()
