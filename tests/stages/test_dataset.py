"""Targets by hand, nothing of the hold-out in training, nothing lost without a reason."""

import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import chdir
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import dataset as stage
from stages import params
from stages.common import tables
from stages.common.errors import DataError, InputError
from stages.common.paths import DATASETS, FEATURES_DAILY
from stages.dataset import newest, split, test_start, usable, with_target
from stages.forecast.training.folds import walk_forward
from tests.messages import facts
from tests.panels import START, Bars, bits, examples, panels, random_bars, write_params

first_session_held_out = test_start
del test_start  # pytest would take it for a test

SELECTED = ["return_lag1", "vol_2"]
SHORT = DATASETS / "short"


def table(symbol: str, adjusted: list[float], **columns: Any) -> pl.DataFrame:
    """A feature table of one symbol, a bar a day, with every feature known."""
    count = len(adjusted)
    plain = {
        "symbol": [symbol] * count,
        "date": [START + timedelta(days=i) for i in range(count)],
        "close": adjusted,
        "adj_close": adjusted,
        "filled": [False] * count,
        **{name: [0.5] * count for name in SELECTED},
    }
    return pl.DataFrame(plain | columns, schema=dict(tables.features_contract(SELECTED)))


def day(number: int) -> date:
    return START + timedelta(days=number)


def made_of(bars: Bars) -> pl.DataFrame:
    """A feature table with gaps, ragged symbols, filled rows and a warm-up of unknown values."""
    rng = np.random.default_rng(bars.daily.height)
    unknown = pl.int_range(pl.len()).over("symbol") < 2
    return bars.daily.select("symbol", "date", "close", "adj_close", "filled").with_columns(
        pl.when(~unknown)
        .then(pl.Series(rng.normal(size=bars.daily.height)))
        .cast(pl.Float32)
        .alias(name)
        for name in SELECTED
    )


# Targets


def test_targets_worked_by_hand() -> None:
    rows = pl.concat(
        [
            # A dividend of 1 where 100 is traded, then a 2:1 split and 20% up.
            table("A", [100.0, 101.0, 121.2, 121.2], close=[100.0, 100.0, 60.0, 60.0]),
            table("B", [10.0, 5.0]),
            table("C", [7.0]),
        ]
    )
    one = with_target(rows, 1)
    assert one["target"].to_list() == pytest.approx(
        [0.01, 0.2, 0.0, None, -0.5, None, None], nan_ok=True
    )
    dates = [day(1), day(2), day(3), None, day(1), None, None]
    assert one["target_date"].to_list() == dates
    two = with_target(rows, 2)
    assert two["target"].to_list()[:2] == pytest.approx([0.212, 0.2])
    assert two["target"].to_list()[2:] == [None] * 5
    assert two["target_date"].to_list() == [day(2), day(3)] + [None] * 5
    assert with_target(rows, 4)["target"].null_count() == 7
    assert one.drop("target", "target_date").equals(rows)


@given(bars=panels(rows=(1, 12)), horizon=st.integers(1, 14))
@examples(40)
def test_a_target_reaches_to_a_later_bar_of_the_same_symbol(bars: Bars, horizon: int) -> None:
    rows = made_of(bars)
    targets = with_target(rows, horizon)
    expected = []
    for _, part in rows.group_by("symbol", maintain_order=True):
        prices, dates = part["adj_close"].to_list(), part["date"].to_list()
        for i in range(len(prices)):
            there = i + horizon < len(prices)
            expected.append(
                (prices[i + horizon] / prices[i] - 1, dates[i + horizon]) if there else (None, None)
            )
    assert targets.select("target", "target_date").rows() == expected


# The split


@pytest.mark.parametrize("share", [0.1, 0.2, 0.29, 0.3, 0.5, 0.8, 0.9])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 90, 100, 3270])
def test_the_newest_share_of_the_sessions_is_held_out(share: float, count: int) -> None:
    dates = pl.Series([day(3 * i) for i in range(count)])
    start = first_session_held_out(pl.concat([dates, dates]).shuffle(seed=1), share)
    held_out = int((dates >= start).sum())
    assert held_out == max(1, math.ceil(round(count * share, 6)))


@given(
    bars=panels(rows=(1, 30)),
    horizon=st.integers(1, 8),
    share=st.floats(0.05, 0.95),
)
@examples(60)
def test_no_training_target_reaches_the_hold_out_and_nothing_else_is_lost(
    bars: Bars, horizon: int, share: float
) -> None:
    rows = with_target(made_of(bars), horizon)
    known = rows.drop_nulls("target")
    if known.is_empty():
        return
    start = first_session_held_out(known["date"], share)
    parts = split(rows, start)
    train, purged, test = (parts[name] for name in ("train", "purged", "test"))
    assert all(end < start for end in train["target_date"])
    assert all(begin >= start for begin in test["date"])
    assert all(begin < start for begin in purged["date"])
    assert all(end >= start for end in purged["target_date"])
    assert bits(pl.concat([train, purged, test]).sort("symbol", "date")) == bits(known)


def test_which_rows_a_model_can_see() -> None:
    rows = with_target(
        table(
            "A",
            [1.0, 2.0, 3.0, 4.0, 5.0],
            filled=[False, True, False, False, False],
            return_lag1=[0.1, 0.2, None, 0.4, 0.5],
            vol_2=[0.1, 0.2, 0.3, None, 0.5],
        ),
        1,
    )
    usable_rows = usable(rows, ["return_lag1", "vol_2"])
    assert dict(usable_rows.schema) == dict(tables.dataset_contract(["return_lag1", "vol_2"]))
    assert usable_rows["date"].to_list() == [day(0), day(4)]
    assert usable(rows, ["return_lag1"])["date"].to_list() == [day(0), day(3), day(4)]


def test_newest_is_the_last_bar_of_each_symbol_with_no_target_yet() -> None:
    rows = with_target(
        pl.concat([table("A", [1.0, 2.0]), table("B", [3.0]), table("C", [4.0] * 3)]), 1
    )
    last = newest(rows)
    assert last.select("symbol", "date", "close").rows() == [
        ("A", day(1), 2.0),
        ("B", day(0), 3.0),
        ("C", day(2), 4.0),
    ]
    assert last["target"].to_list() == [None] * 3
    assert last["target_date"].to_list() == [None] * 3
    assert last.schema == rows.schema


# The stage


def write(folder: Path, horizons: Mapping[str, int], share: float = 0.2) -> None:
    write_params(
        folder,
        horizons=horizons,
        features={"volatility": [2], "lags": [1], "hourly_volatility": True},
        dataset={"features": SELECTED, "scale": [], "test_share": share},
        data={"market": []},
    )
    with chdir(folder):
        params.main()


def write_features(rows: pl.DataFrame, groups: list[list[str]]) -> None:
    with tables.replacing(FEATURES_DAILY) as partial, tables.Writer(partial) as writer:
        for group in groups:
            writer.append(rows.filter(pl.col("symbol").is_in(group)))


def run(monkeypatch: pytest.MonkeyPatch, horizon: str) -> dict[str, pl.DataFrame]:
    monkeypatch.setattr(sys, "argv", ["stages/dataset.py", horizon])
    stage.main()
    return {part: tables.read(DATASETS / horizon / f"{part}.parquet") for part in PARTS}


PARTS = ("train", "purged", "test", "newest")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of four symbols in two row groups, one of them too short to be seen."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"short": 1, "long": 5})
    write_features(made_of(random_bars(5, [60, 2, 45, 30])), [["S0", "S1"], ["S2", "S3"]])
    return tmp_path


def expected_parts(rows: pl.DataFrame, horizon: int, share: float) -> dict[str, list[Any]]:
    """The dataset by loops, row by row."""
    symbols = [
        list(part.iter_rows(named=True)) for _, part in rows.group_by("symbol", maintain_order=True)
    ]
    sessions = sorted({row["date"] for part in symbols for row in part[:-horizon]})
    start = sessions[len(sessions) - max(1, math.ceil(round(len(sessions) * share, 6)))]
    parts: dict[str, list[Any]] = {part: [] for part in PARTS}
    for part in symbols:
        for i, row in enumerate(part):
            if row["filled"] or None in [row[name] for name in SELECTED]:
                continue
            last = i == len(part) - 1
            later = part[i + horizon] if i + horizon < len(part) else None
            features = [row[name] for name in SELECTED]
            fixed = [row["symbol"], row["date"]]
            if last:
                parts["newest"].append((*fixed, None, row["close"], None, *features))
            if later is None:
                continue
            target = later["adj_close"] / row["adj_close"] - 1
            where = "test" if row["date"] >= start else "train"
            if row["date"] < start <= later["date"]:
                where = "purged"
            parts[where].append((*fixed, later["date"], row["close"], target, *features))
    return parts


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("horizon", ["short", "long"])
def test_the_stage_writes_what_loops_find(
    project: Path, monkeypatch: pytest.MonkeyPatch, seed: int, horizon: str
) -> None:
    share = [0.1, 0.2, 0.3, 0.5, 0.7][seed]
    lengths = [[60, 2, 45, 30], [1, 40, 40, 9], [80, 20, 3, 50], [40, 40, 40, 40], [25, 6, 90, 7]]
    rows = made_of(random_bars(seed, lengths[seed]))
    write(project, {"short": 1, "long": 5}, share)
    write_features(rows, [["S0"], ["S1", "S2", "S3"]])
    parts = run(monkeypatch, horizon)
    expected = expected_parts(rows, {"short": 1, "long": 5}[horizon], share)
    for part, frame in parts.items():
        assert dict(frame.schema) == dict(tables.dataset_contract(SELECTED))
        assert frame.rows() == expected[part], part
        assert frame.equals(frame.sort("symbol", "date"))
    assert parts["train"]["target_date"].max() < parts["test"]["date"].min()  # type: ignore[operator]


@pytest.mark.usefixtures("project")
def test_the_log_names_what_was_read_and_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        parts = run(monkeypatch, "long")
    start = parts["test"]["date"].to_list()[0]
    assert caplog.messages == [
        f"dataset long: 137 rows, 2 features -> {parts['train'].height} to train, "
        f"{parts['test'].height} held out from {start} on"
    ]
    assert sorted(path.name for path in (DATASETS / "long").iterdir()) == sorted(
        f"{part}.parquet" for part in PARTS
    )
    assert not SHORT.exists()


def test_no_model_sees_the_volume_where_a_symbol_has_none(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tables.read(FEATURES_DAILY)
    quiet = pl.col("symbol") == "S3"
    volume = pl.when(~quiet).then(pl.lit(0.5)).cast(pl.Float32)
    known = rows.with_columns(
        volume=pl.lit(0.5, pl.Float32), relative_volume_2=pl.lit(0.5, pl.Float32)
    )
    lacking = rows.with_columns(volume=volume, relative_volume_2=volume)
    write_params(
        project,
        horizons={"short": 1},
        features={"volatility": [2], "lags": [1], "relative_volume": [2]},
        dataset={"features": [*SELECTED, "relative_volume_*"], "scale": []},
        data={"market": []},
    )
    params.main()
    for table, has_volume in ((known, True), (lacking, False)):
        write_features(table, [["S0", "S1"], ["S2", "S3"]])
        with caplog.at_level(logging.INFO, "stages"):
            caplog.clear()
            parts = run(monkeypatch, "short")
        assert all(("relative_volume_2" in part.columns) == has_volume for part in parts.values())
        assert "S3" in parts["train"]["symbol"].to_list()
        lines = [line for line in caplog.messages if "no volume" in line]
        assert [facts(line) >= {"S3", "relative_volume_2"} for line in lines] == [True] * (
            not has_volume
        )


HOURLY = "hourly_volatility"


@pytest.fixture
def hours(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[[pl.Expr], tuple[dict[str, pl.DataFrame], list[str]]]:
    """Makes the dataset of a project whose rows have hourly bars where an expression says so."""
    rows = tables.read(FEATURES_DAILY)
    content = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
    content["dataset"]["features"] = [*SELECTED, "hourly_*"]
    (project / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    params.main()

    def make(known: pl.Expr) -> tuple[dict[str, pl.DataFrame], list[str]]:
        volatility = pl.when(known).then(pl.lit(0.01)).cast(pl.Float32)
        write_features(rows.with_columns(volatility.alias(HOURLY)), [["S0", "S1"], ["S2", "S3"]])
        caplog.clear()
        with caplog.at_level(logging.INFO, "stages"):
            return run(monkeypatch, "short"), caplog.messages

    return make


Hours = Callable[[pl.Expr], tuple[dict[str, pl.DataFrame], list[str]]]


def test_models_see_the_volatility_of_hours_where_a_symbol_has_it(hours: Hours) -> None:
    parts, lines = hours(pl.lit(value=True))
    assert all(part.columns[-1] == HOURLY for part in parts.values())
    assert len(lines) == 1
    without, lines = hours(pl.lit(value=False))
    assert all(HOURLY not in part.columns for part in without.values())
    assert [part.height for part in without.values()] == [part.height for part in parts.values()]
    assert facts(lines[0]) >= {HOURLY}
    assert len(lines) == 2


def test_a_symbol_without_hours_among_others_that_have_them_is_named(hours: Hours) -> None:
    parts, lines = hours(pl.col("symbol") != "S3")
    assert all(HOURLY in part.columns for part in parts.values())
    assert "S3" not in parts["newest"]["symbol"].to_list()
    assert facts(lines[0]) >= {"S3", HOURLY, "107", "137", "dataset.features"}


def test_a_dataset_that_the_volatility_of_hours_empties_names_it(hours: Hours) -> None:
    with pytest.raises(DataError) as caught:
        hours(pl.col("date") == pl.col("date").max())
    assert facts(str(caught.value)) >= {"horizons.short", HOURLY, "dataset.features"}
    assert not SHORT.exists()


@pytest.mark.parametrize("lowest", [0.0, -2.5])
def test_a_level_without_a_logarithm_cannot_be_a_scale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lowest: float
) -> None:
    monkeypatch.chdir(tmp_path)
    level = [20.0 + i for i in range(20)]
    level[7] = lowest

    def levels(values: list[float], **selection: list[str]) -> None:
        write_params(
            tmp_path,
            horizons={"short": 1},
            features={"volatility": [2], "lags": [1]},
            dataset={"features": [*SELECTED, "mood_level"], "scale": []} | selection,
            data={"market": ["mood"], "levels": ["mood"]},
        )
        params.main()
        rows = table("A", [1.0 + i for i in range(20)])
        write_features(rows.with_columns(mood_level=pl.Series(values, dtype=pl.Float32)), [["A"]])

    levels(level)
    assert run(monkeypatch, "short")["train"]["mood_level"].min() == lowest
    levels(level, scale=["*_level"])
    with pytest.raises(DataError) as caught:
        run(monkeypatch, "short")
    words = facts(str(caught.value))
    assert words >= {"dataset.scale", "mood_level", f"{lowest:g}", str(day(7))}
    levels([abs(value) + 1 for value in level], scale=["*_level"])
    assert run(monkeypatch, "short")["train"]["mood_level"].min() == abs(lowest) + 1


@pytest.mark.usefixtures("project")
def test_the_bytes_do_not_depend_on_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    written = set()
    for _ in range(3):
        run(monkeypatch, "short")
        written.add(tuple((SHORT / f"{part}.parquet").read_bytes() for part in PARTS))
    assert len(written) == 1


@pytest.mark.usefixtures("project")
def test_folds_of_a_written_dataset_never_see_their_validation_span(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = run(monkeypatch, "long")["train"]
    days, ends = (train[name].to_physical().to_numpy() for name in ("date", "target_date"))
    folds = list(walk_forward(days, ends, 3, 0.3, 0))
    assert len(folds) == 3
    for fold in folds:
        assert ends[fold.train].max() < days[fold.valid].min()


def test_a_horizon_beyond_the_history_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, {"short": 60})
    with pytest.raises(DataError) as error:
        run(monkeypatch, "short")
    assert facts(str(error.value)) == facts(
        "horizons.short: 60 sessions are longer than the history: the longest symbol has 60 bars; "
        "shorten the horizon or bring more history"
    )
    assert not SHORT.exists()


@pytest.mark.parametrize(("horizon", "share", "empty"), [(59, 0.2, "train"), (30, 0.5, "train")])
def test_a_horizon_that_leaves_no_row_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch, horizon: int, share: float, empty: str
) -> None:
    former = run(monkeypatch, "short")
    write(project, {"short": horizon}, share)
    with pytest.raises(DataError) as error:
        run(monkeypatch, "short")
    assert facts(str(error.value)) == facts(
        f"horizons.short: no row left for {empty}: {horizon} sessions, dataset.test_share {share} "
        "and the features' warm-up need more than the longest symbol's 60 bars; "
        "shorten the horizon or bring more history"
    )
    assert tables.read(SHORT / "train.parquet").equals(former["train"])
    assert [path.name for path in DATASETS.iterdir()] == ["short"]


def test_a_test_span_of_unknown_values_says_so(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del project
    write_features(table("A", [1.0] * 20, vol_2=[0.1] * 12 + [None] * 8), [["A"]])
    with pytest.raises(DataError, match=r"^horizons\.short: no row left for test: 1 sessions, "):
        run(monkeypatch, "short")


@pytest.mark.usefixtures("project")
def test_features_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    FEATURES_DAILY.unlink()
    with pytest.raises(InputError) as error:
        run(monkeypatch, "short")
    assert facts(str(error.value)) == facts(
        "data/features/daily.parquet: no such file; run `dvc repro` or `dvc pull`"
    )


KILLED_IN_THE_SECOND_GROUP = """
import os, signal, sys
from stages import dataset as stage
from stages import params

compute = stage.newest

def kills(rows):
    if "S2" in rows["symbol"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute(rows)

stage.newest = kills
sys.argv = ["stages/dataset.py", "short"]
stage.main()
"""


def test_a_killed_stage_leaves_the_former_output_and_the_next_run_finishes(
    project: Path, monkeypatch: pytest.MonkeyPatch, repo_root: Path
) -> None:
    run(monkeypatch, "short")
    former = [(SHORT / f"{part}.parquet").read_bytes() for part in PARTS]
    write(project, {"short": 2})
    there = {**os.environ, "PYTHONPATH": str(repo_root)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_GROUP], cwd=project, env=there, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [(SHORT / f"{part}.parquet").read_bytes() for part in PARTS] == former
    done = subprocess.run(
        [sys.executable, "-m", "stages.dataset", "short"],
        cwd=project,
        env=there,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == ""
    assert done.stderr.startswith("dataset short: 137 rows, 2 features -> ")
    assert [(SHORT / f"{part}.parquet").read_bytes() for part in PARTS] != former
    assert [path.name for path in DATASETS.iterdir()] == ["short"]
