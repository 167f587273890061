"""What of a revision is asked for by its path."""

from typing import Any

import pytest
from dvc.repo import Repo

from stages.common.errors import VersionError
from versions.storage import objects

PIPELINE = """
stages:
  ingest: {cmd: a, outs: [data/raw]}
  latest: {cmd: a, outs: [models/latest, models/sessions]}
  evaluate:
    matrix: {horizon: [short, long]}
    cmd: a ${item.horizon}
    outs: ["models/${item.horizon}/card", "models/${item.horizon}/model"]
    metrics: ["metrics/${item.horizon}.json": {cache: false}]
  report: {cmd: a, outs: [models/report, data/report]}
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("objects")
    (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
    return Repo.init(str(folder), no_scm=True)


@pytest.mark.parametrize(
    ("target", "spoken"),
    [
        ("models", ["evaluate", "latest", "models/report"]),
        ("models/short/", ["models/short/card", "models/short/model"]),
        ("models/short/model", ["models/short/model"]),
        ("data/raw", ["data/raw"]),
        ("data/raw/daily/AAPL.parquet", ["data/raw/daily/AAPL.parquet"]),
        (".", ["data/raw", "evaluate", "latest", "report"]),
    ],
)
def test_a_folder_stands_for_what_is_made_in_it(repo: Any, target: str, spoken: list[str]) -> None:
    assert sorted(objects.spoken(repo, [target])) == spoken


@pytest.mark.parametrize("target", ["model", "models/week", "metrics", "../data", "/data/raw"])
def test_what_is_no_output_is_named(repo: Any, target: str) -> None:
    with pytest.raises(VersionError, match=rf"^no output is, holds or lies in {target};"):
        objects.spoken(repo, [target])
