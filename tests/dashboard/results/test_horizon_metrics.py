"""What metrics/ holds, of the working tree and of a commit; what it lacks is empty."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from dashboard.results import horizon_metrics
from stages.common.errors import InputError
from tests.dashboard.evaluated import evaluated
from tests.histories import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return evaluated(tmp_path / "project", ("short",))


def test_a_commit_and_the_working_tree_have_the_same_results(repository: Repository) -> None:
    folder, head = repository.folder, repository.git("rev-parse", "HEAD")
    now, then = (horizon_metrics.read(commit, "short", folder) for commit in ("", head))
    assert now.summary == then.summary
    assert now.params == then.params
    assert set(now.tables) == set(horizon_metrics.TABLES)
    for name in horizon_metrics.TABLES:
        assert now.table(name).equals(then.table(name)), name
    scores = now.table("scores")
    assert scores.schema["symbol"] == scores.schema["model"] == pl.String
    assert scores.schema["oos_r2"] == pl.Float64
    # The mean has no p-value against itself.
    assert scores.filter(pl.col("model") == "mean")["p_value"].null_count() > 0
    assert now.table("equity").schema["date"] == pl.Date
    # Fewer symbols than a cross-section needs.
    assert now.table("ic").is_empty()


def test_a_commit_keeps_its_results_when_the_working_tree_changes(repository: Repository) -> None:
    folder, head = repository.folder, repository.git("rev-parse", "HEAD")
    before = horizon_metrics.stamps("short", folder)
    shutil.rmtree(folder / "metrics")
    assert horizon_metrics.read("", "short", folder).empty
    assert not horizon_metrics.read(head, "short", folder).empty
    assert horizon_metrics.stamps("short", folder) != before


def test_a_horizon_that_was_never_evaluated_is_empty(repository: Repository) -> None:
    metrics = horizon_metrics.read("", "long", repository.folder)
    assert metrics.empty
    assert metrics.table("folds").is_empty()
    assert metrics.summary == {}


def test_horizons_are_those_of_params_or_of_metrics(repository: Repository, tmp_path: Path) -> None:
    assert horizon_metrics.horizons(repository.folder) == ["short", "long"]
    (repository.folder / "params.yaml").unlink()
    assert horizon_metrics.horizons(repository.folder) == ["short"]
    assert horizon_metrics.horizons(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("short/scores.csv", "symbol,model,mae\nall,stack,<<<<<<<\n"),
        ("short/scores.csv", "\xff\xfe"),
        ("short.json", "{"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(repository: Repository, name: str, text: str) -> None:
    (repository.folder / "metrics" / name).write_text(text, encoding="latin-1")
    with pytest.raises(
        InputError, match=rf"metrics/{name} of workspace cannot be read: .+dvc repro"
    ):
        horizon_metrics.read("", "short", repository.folder)


def test_names_that_look_like_numbers_are_names(repository: Repository) -> None:
    path = repository.folder / "metrics" / "short" / "scores.csv"
    path.write_text("symbol,model,oos_r2\n0700,stack,0.1\nall,stack,\n", encoding="utf-8")
    scores = horizon_metrics.read("", "short", repository.folder).table("scores")
    assert scores["symbol"].to_list() == ["0700", "all"]
    assert scores["oos_r2"].to_list() == [0.1, None]


def test_an_older_revision_may_lack_a_column(repository: Repository) -> None:
    path = repository.folder / "metrics" / "short" / "coverage.csv"
    path.write_text("part,coverage\n2012,0.9\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"coverage\.csv of workspace .+ no column rows, width"):
        horizon_metrics.read("", "short", repository.folder)
    older = repository.commit(None, "As it was")
    metrics = horizon_metrics.read(older, "short", repository.folder)
    assert metrics.table("coverage").is_empty()
    assert not metrics.empty
