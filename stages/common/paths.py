"""The files that stages read and write, relative to the root of the project.

`dvc.yaml` repeats these paths for DVC; a test compares the two.
"""

from pathlib import Path

RAW = Path("data/raw")
ACTIONS = Path("data/actions.csv")
CLEAN = Path("data/clean")
CLEAN_DAILY = CLEAN / "daily.parquet"
CLEAN_HOURLY = CLEAN / "hourly.parquet"
CLEAN_MARKET = CLEAN / "market.parquet"
REJECTED = CLEAN / "rejected.parquet"
FEATURES = Path("data/features")
FEATURES_DAILY = FEATURES / "daily.parquet"
DATASETS = Path("data/datasets")
MODELS = Path("models")
CANDIDATES = MODELS / "candidates"
REFITTED = MODELS / "refitted"
LATEST = MODELS / "latest.parquet"
SESSIONS = MODELS / "sessions.json"
METRICS = Path("metrics")
CHECKED_PARAMS = METRICS / "params.json"
DATA_DOCS = Path("great_expectations/uncommitted/data_docs/index.html")
REVISIONS = Path("var/revisions.csv")
REVISIONS_SUMMARY = REVISIONS.with_suffix(".txt")
RUNS = Path("var/runs")
