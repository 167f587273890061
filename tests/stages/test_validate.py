"""Every rule of every suite can fail and says so in one line; a run leaves nothing but results."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import dataset, params, validate, validate_datasets
from stages.common import tables
from stages.common.errors import InputError, QualityError
from stages.common.paths import (
    CHECKED_PARAMS,
    CLEAN_DAILY,
    CLEAN_HOURLY,
    CLEAN_MARKET,
    DATASETS,
    FEATURES_DAILY,
    METRICS,
    RAW,
)
from stages.forecast.dataset_params import columns
from stages.indicators.feature_table import features
from stages.params import Params
from stages.quality import helper_columns, validation
from stages.quality.checking import Check
from stages.quality.helper_columns import BARS, FINITE, HOLD_OUT, IN_ORDER, KNOWN
from stages.quality.score import Checked, Outcome, Rule, enforce
from stages.quality.suites import Meaning, Suites
from stages.quality.validation import Part
from tests.panels import examples, project_params, write_params

AS_OF = date(2012, 12, 31)
COUNT = 640
SYMBOLS = ("AAA", "BBB", "CCC")
DAYS = [
    day
    for day in (AS_OF - timedelta(days=back) for back in range(1000, -1, -1))
    if day.weekday() < 5
][-COUNT:]
FEATURES = {
    "lags": [1],
    "sma": [7],
    "ema": [12],
    "momentum": [7, 252],
    "volatility": [14],
    "market_lags": [1],
    "calendar": ["day_of_week", "day_of_month", "month", "week_of_year", "quarter"],
}
"""Every family, with fewer windows than the project's own."""

DOCS = Path("great_expectations/uncommitted/data_docs")
LOOK = "great_expectations/uncommitted/data_docs/index.html"

# Great Expectations imports what Python deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


# A project whose tables are as they should be


def bars(symbol: str) -> pl.DataFrame:
    rng = np.random.default_rng(sum(symbol.encode()))
    close = 100 * np.exp(rng.normal(0, 0.01, COUNT).cumsum())
    opened = close * np.exp(rng.normal(0, 0.003, COUNT))
    return pl.DataFrame(
        {
            "symbol": [symbol] * COUNT,
            "date": DAYS,
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "adj_close": close,
            "volume": rng.integers(1_000, 9_000, COUNT).astype(float),
            "filled": [False] * COUNT,
        }
    )


def hours(daily: pl.DataFrame) -> pl.DataFrame:
    """Two hourly bars in each of the last sessions."""
    rows = [
        row | {"timestamp": datetime(day.year, day.month, day.day, hour, tzinfo=UTC)}
        for row in daily.tail(100).drop("filled").to_dicts()
        for day in [row["date"]]
        for hour in (14, 15)
    ]
    return pl.DataFrame(rows, schema=dict(tables.CLEAN_HOURLY))


def write_raw(daily: pl.DataFrame, kind: str) -> None:
    contract = tables.RAW_HOURLY if kind == "hourly" else tables.RAW_DAILY
    for (symbol,), rows in daily.group_by("symbol", maintain_order=True):
        tables.write(rows.select(list(contract)), RAW / kind / f"{symbol}.parquet")


def write_features(settings: Params) -> None:
    market = tables.read(CLEAN_MARKET)
    by_name = {name: market.filter(pl.col("symbol") == name) for name in settings.data.market}
    table = features(
        tables.read(CLEAN_DAILY),
        by_name,
        tables.read(CLEAN_HOURLY),
        settings.features,
        levels=settings.data.levels,
    )
    tables.write(table, FEATURES_DAILY)


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    return subprocess.run(
        ["git", *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> Path:
    """A git clone of the project's suites, with tables of three symbols."""
    folder = tmp_path_factory.mktemp("pristine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q")
        # Hourly bars reach back too little for a model.
        model_features = [name for name in project_params().dataset.features if name != "hourly_*"]
        write_params(folder, features=FEATURES, dataset={"features": model_features})
        for name in (".gitignore", "great_expectations/great_expectations.yml"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes((repo_root / name).read_bytes())
        copytree(repo_root / "great_expectations/expectations", "great_expectations/expectations")
        params.main()
        settings = params.load()
        daily = pl.concat(map(bars, SYMBOLS))
        market = pl.concat(map(bars, sorted(settings.data.market)))
        tables.write(daily, CLEAN_DAILY)
        tables.write(market, CLEAN_MARKET)
        tables.write(hours(bars("AAA")), CLEAN_HOURLY)
        write_raw(daily, "daily")
        write_raw(market, "market")
        write_raw(hours(bars("AAA")), "hourly")
        action = {"symbol": "AAA", "date": DAYS[9], "ratio": 2.0, "dividend": 0.0}
        actions = pl.DataFrame([action, action | {"date": DAYS[19]}], schema=dict(tables.ACTIONS))
        tables.write(actions, RAW / "actions.parquet")
        write_features(settings)
        for horizon in settings.horizons:
            patch.setattr(sys, "argv", ["dataset", horizon])
            dataset.main()
        git("add", "-A")
        git("commit", "-qm", "as it should be")
    return folder


@pytest.fixture
def project(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    copytree(pristine, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def suites(pristine: Path) -> Suites:
    """The committed context, imported once."""
    return Suites(pristine / "great_expectations")


@pytest.fixture(scope="module")
def settings(pristine: Path) -> Params:
    return params.load(pristine / "params.yaml")


@pytest.fixture
def run(project: Path) -> Callable[[], None]:
    """Run the stage in the project as its command does."""
    assert Path.cwd() == project
    return validate.main


def change(path: Path, **columns: pl.Expr) -> None:
    tables.write(tables.read(path).with_columns(**columns), path)


def at(*rows: int) -> pl.Expr:
    return pl.int_range(pl.len()).is_in(rows)


def results_in(name: str) -> Any:
    return json.loads((METRICS / name).read_text(encoding="utf-8"))


# A whole run

UNTRACKED = {"tables": "metrics/validation.json", "datasets": "metrics/validation_datasets/"}

WRITTEN = {
    "tables": ["metrics/validation.json"],
    "datasets": [f"metrics/validation_datasets/{horizon}.json" for horizon in ("long", "short")],
}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("what", "parts"),
    [
        (
            "tables",
            {
                "raw": {"raw-daily", "raw-hourly", "raw-market", "raw-actions"},
                "clean": {"clean-daily", "clean-hourly", "clean-market"},
                "features": {"features-daily"},
            },
        ),
        (
            "datasets",
            {
                "datasets": {
                    f"datasets-{h}-{p}" for h in ("short", "long") for p in ("train", "test")
                }
            },
        ),
    ],
)
def test_good_tables_score_100_and_leave_only_results(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    what: str,
    parts: dict[str, set[str]],
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(socket, "getaddrinfo", _refuse)
    DOCS.mkdir(parents=True)
    run = {"tables": validate.main, "datasets": validate_datasets.main}[what]
    run()
    files = written()
    assert [str(path) for path in files] == WRITTEN[what]
    results = {path.stem: json.loads(content) for path, content in files.items()}
    assert all(result["quality"] == 100 for result in results.values())
    by_table = (
        results["validation"]["tables"]
        if what == "tables"
        else {f"datasets/{horizon}": result for horizon, result in results.items()}
    )
    for name, table in by_table.items():
        assert table["quality"] == 100
        assert table["failed"] == []
        assert table["expectations"] > 20
        assert table["rows"] == stored(name)
    pages = sorted((DOCS / "validations").glob("*/*/*/*.html"))
    assert {
        name: {page.stem for page in pages if page.parts[-4] == name} for name in parts
    } == parts
    assert all("0% unexpected" in page.read_text(encoding="utf-8") for page in pages)
    assert (DOCS / "index.html").exists()
    run()
    assert written() == files
    assert len(list((DOCS / "validations").glob("*/*/*/*.html"))) == len(pages)
    assert git("status", "--porcelain") == f"?? {UNTRACKED[what]}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def written() -> dict[Path, bytes]:
    """The results; metrics/params.json is there before."""
    paths = sorted(METRICS.rglob("*.json"))
    return {path: path.read_bytes() for path in paths if path != CHECKED_PARAMS}


def test_a_symbol_without_a_volume_is_valid(
    run: Callable[[], None], settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = pl.when(pl.col("symbol") != "BBB").then("volume")
    change(CLEAN_DAILY, volume=quiet)
    write_features(settings)
    for horizon in settings.horizons:
        monkeypatch.setattr(sys, "argv", ["dataset", horizon])
        dataset.main()
    run()
    validate_datasets.main()
    for path in METRICS.rglob("validation*/*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["quality"] == 100


def model_features(settings: Params) -> list[str]:
    """The columns of a dataset."""
    return columns(settings.dataset, settings.feature_names)


def stored(table: str) -> int:
    files = (Path("data") / table).rglob("*.parquet")
    return sum(tables.read(file).height for file in files if file.stem not in {"newest", "purged"})


def _refuse(*arguments: object, **_: object) -> None:
    raise AssertionError(f"validation opened a connection: {arguments}")


def test_telemetry_is_off(suites: Suites) -> None:
    assert suites.context.variables.config.analytics_enabled is False


@pytest.mark.usefixtures("project")
def test_great_expectations_is_imported_only_where_an_expectation_does_not_hold(
    repo_root: Path,
) -> None:
    """Its import takes seconds, and so do the pages."""
    code = (
        "import sys\n"
        "from stages import validate, validate_datasets\n"
        "validate.main()\n"
        "validate_datasets.main()\n"
        "print({'great_expectations', 'pandas'} & set(sys.modules))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(repo_root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout == "set()\n"
    assert not DOCS.exists()
    assert results_in("validation.json")["quality"] == 100


# Bad data


def test_a_symbol_with_20_rows_stops(run: Callable[[], None]) -> None:
    tiny = bars("TINY").tail(20)
    write_raw(tiny, "daily")
    tables.write(pl.concat([tables.read(CLEAN_DAILY), tiny]), CLEAN_DAILY)
    write_features(params.load())
    with pytest.raises(QualityError) as caught:
        run()
    for fact in (
        *("clean/daily", "bars of the symbol >= 252", "20 of 1,940 rows", "critical"),
        *(f"TINY 20 rows from {DAYS[-20]}", "data.symbols", "validate.min_bars", LOOK),
    ):
        assert fact in str(caught.value)
    (failed,) = results_in("validation.json")["tables"]["clean"]["failed"]
    assert failed == {
        "table": "clean/daily",
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "bars of the symbol", "min_value": 252},
        "critical": True,
        "success": False,
        "unexpected": 20,
        "rows": 1940,
    }
    (page,) = DOCS.glob("validations/clean/*/*/clean-daily.html")
    assert f"TINY {DAYS[-1]}, bars of the symbol 20" in page.read_text(encoding="utf-8")
    assert git("status", "--porcelain", "great_expectations") == ""


@pytest.mark.usefixtures("project")
def test_a_price_below_zero_stops_and_names_the_rows(suites: Suites) -> None:
    rows = (5, 6, COUNT + 7)
    change(CLEAN_DAILY, low=pl.when(at(*rows)).then(-1.0).otherwise("low"))
    message = stop(validate.clean_parts()[0], suites)
    for fact in ("clean/daily", "low > 0", "3 of 1,920 rows", "critical"):
        assert fact in message
    assert f"AAA 2 rows from {DAYS[5]}, BBB 1 row from {DAYS[7]}" in message


@pytest.mark.usefixtures("project")
def test_text_in_a_price_stops(suites: Suites) -> None:
    change(RAW / "daily" / "BBB.parquet", close=pl.col("close").cast(pl.String))
    message = stop(validate.raw_parts()[0], suites)
    for fact in ("raw/daily", "close of type float64", "critical", "object"):
        assert fact in message
    outcomes = check(validate.raw_parts()[0], suites).outcomes
    (priced,) = (outcome for outcome in outcomes if str(outcome.rule) == "close > 0")
    assert priced.broken.startswith("cannot be checked: ")
    assert priced.score == 0


def stop(part: Part, suites: Suites) -> str:
    """The error that the critical rules of one part raise."""
    with pytest.raises(QualityError) as caught:
        enforce({part.suite: [check(part, suites)]}, 0, "docs")
    return str(caught.value)


def test_low_quality_stops_though_nothing_is_critical(
    project: Path, run: Callable[[], None]
) -> None:
    close = pl.when(at(3)).then(None).otherwise("close")
    change(RAW / "daily" / "BBB.parquet", close=close)
    write_params(project, features=FEATURES, validate={"min_quality": 100})
    with pytest.raises(QualityError) as caught:
        run()
    score = results_in("validation.json")["tables"]["raw"]["quality"]
    assert 99 < score < 100
    for fact in (
        *(f"raw: quality {score}", "validate.min_quality 100", "raw/daily: close not null"),
        *("1 of 1,920 rows", f"BBB 1 row from {DAYS[3]}", LOOK),
    ):
        assert fact in str(caught.value)


@pytest.mark.usefixtures("project")
def test_a_leak_from_the_hold_out_stops(suites: Suites, settings: Params) -> None:
    start = tables.read(DATASETS / "long" / "test.parquet")["date"].min()
    train = DATASETS / "long" / "train.parquet"
    change(train, target_date=pl.when(at(2)).then(pl.lit(start)).otherwise("target_date"))
    rows = tables.read(train)
    message = stop(
        validate_datasets.dataset_parts("long", columns(settings.dataset, settings.feature_names))[
            0
        ],
        suites,
    )
    for fact in (
        "datasets/long/train: first date of the hold-out > target_date",
        f"1 of {rows.height:,} rows (critical: AAA 1 row from {rows['date'][2]})",
    ):
        assert fact in message


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("half", ["train", "test"])
def test_an_empty_half_stops(suites: Suites, settings: Params, half: str) -> None:
    path = DATASETS / "short" / f"{half}.parquet"
    tables.write(tables.read(path).head(0), path)
    parts = validate_datasets.dataset_parts(
        "short", columns(settings.dataset, settings.feature_names)
    )
    (part,) = (part for part in parts if part.name.endswith(half))
    message = stop(part, suites)
    for fact in (f"datasets/short/{half}: rows >= 1", "found 0", "horizon", "more history"):
        assert fact in message


@pytest.mark.usefixtures("project")
def test_a_truncated_table_is_named(settings: Params) -> None:
    FEATURES_DAILY.write_bytes(FEATURES_DAILY.read_bytes()[:-100])
    with pytest.raises(
        InputError, match=r"^data/features/daily.parquet: cannot be read as Parquet"
    ):
        list(validation.slices(validate.feature_parts(settings.feature_names)[0]))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (CLEAN_DAILY, "data/clean/daily.parquet: no such file; run `dvc repro` or `dvc pull`"),
        (RAW, "data/raw: there is no table; run `dvc repro` or `dvc pull`"),
    ],
)
def test_a_table_that_is_not_there_is_named(
    run: Callable[[], None], path: Path, message: str
) -> None:
    path.rename("elsewhere")
    with pytest.raises(InputError) as caught:
        run()
    assert str(caught.value) == message


@pytest.mark.usefixtures("project")
def test_hourly_and_market_tables_may_be_missing() -> None:
    for path in (CLEAN_HOURLY, CLEAN_MARKET, RAW / "actions.parquet"):
        path.unlink()
    for kind in ("hourly", "market"):
        (RAW / kind).rename(kind)
    names = [part.name for part in [*validate.raw_parts(), *validate.clean_parts()]]
    assert names == ["raw/daily", "clean/daily"]


def test_a_level_may_be_negative_and_a_price_beside_it_may_not(
    project: Path, run: Callable[[], None], suites: Suites
) -> None:
    level = params.load().data.market[0]
    model_features = [name for name in project_params().dataset.features if name != "hourly_*"]
    write_params(
        project,
        features=FEATURES,
        dataset={"features": model_features},
        data={"levels": [level]},
        validate={"min_quality": 100},
    )
    params.main()
    below = {name: -pl.col(name) for name in ("open", "close", "adj_close")}
    below |= {"high": -pl.col("low"), "low": -pl.col("high")}
    change(RAW / "market" / f"{level}.parquet", **below)
    of_level = pl.col("symbol") == level
    chosen = {n: pl.when(of_level).then(each).otherwise(n) for n, each in below.items()}
    change(CLEAN_MARKET, **chosen)
    write_features(params.load())
    run()
    tables_checked = results_in("validation.json")["tables"]
    assert set(tables_checked) == {"raw", "clean", "features", "levels"}

    change(CLEAN_MARKET, close=-pl.col("close").abs())
    data = params.load().data
    by_name = {part.name: part for part in validate.with_levels(validate.clean_parts(), data)}
    assert "close > 0" in stop(by_name["clean/market"], suites)
    assert check(by_name["clean/levels"], suites).rows == COUNT
    alone = data.model_copy(update={"market": [level]})
    parts = validate.with_levels(validate.clean_parts(), alone)
    assert [part.name for part in parts] == ["clean/daily", "clean/hourly", "clean/levels"]


# Params decide, not the suites


def test_a_new_window_is_asked_for_without_a_change_of_suite(project: Path, suites: Suites) -> None:
    write_params(project, features=FEATURES | {"rsi": [14, 21]})
    settings = params.load()
    checked = check(validate.feature_parts(settings.feature_names)[0], suites, clean_rows=3 * COUNT)
    failed = {str(outcome.rule): outcome for outcome in checked.outcomes if not outcome.met}
    assert failed["the set of columns"].broken == "rsi_21 missing"
    assert failed["0 <= rsi_21 <= 100"].broken == "cannot be checked without rsi_21"
    assert "0 <= rsi_14 <= 100" not in failed
    write_features(settings)
    checked = check(validate.feature_parts(settings.feature_names)[0], suites, clean_rows=3 * COUNT)
    assert all(outcome.met for outcome in checked.outcomes)


@pytest.mark.usefixtures("project")
def test_a_column_that_no_params_ask_for_stops(suites: Suites) -> None:
    change(FEATURES_DAILY, sma_999=pl.lit(1.0, pl.Float32))
    (part,) = validate.feature_parts(params.load().feature_names)
    checked = check(part, suites, clean_rows=3 * COUNT)
    assert [outcome.clause(part.name) for outcome in checked.outcomes if not outcome.met] == [
        "features/daily: the set of columns fails (critical: sma_999 not asked for)"
    ]


@pytest.mark.usefixtures("project")
def test_every_committed_expectation_speaks_of_some_table(settings: Params) -> None:
    parts = every_part(settings)
    for suite in ("raw", "clean", "features", "datasets"):
        file = Path("great_expectations/expectations") / f"{suite}.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        assert content["name"] == suite
        for expectation in content["expectations"]:
            file.write_text(json.dumps(content | {"expectations": [expectation]}))
            own = Suites()
            assert any(rules(part, own) for part in parts if part.suite == suite), expectation


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "cannot be read as a suite"),
        (
            '{"name": "clean", "expectations": [{"type": "expect_luck", "kwargs": {}}]}',
            "there is no expectation expect_luck; mend it$",
        ),
        (
            '{"name": "clean", "expectations": [{"type": "expect_table_row_count_to_equal",'
            ' "kwargs": {"value": {"$PARAMETER": "luck"}}}]}',
            "unknown parameter luck; there are as_of, min_bars, columns",
        ),
    ],
)
def test_a_broken_suite_is_named(project: Path, content: str, reason: str) -> None:
    file = project / "great_expectations" / "expectations" / "clean.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(
        QualityError, match=rf"^great_expectations/expectations/clean.json: {reason}"
    ):
        rules(validate.clean_parts()[0], Suites())


def test_a_missing_context_is_not_made_anew(project: Path) -> None:
    (project / "great_expectations" / "great_expectations.yml").unlink()
    with pytest.raises(
        QualityError, match=r"^great_expectations/great_expectations.yml: no such file; `git chec"
    ):
        Suites()
    assert git("status", "--porcelain") == " D great_expectations/great_expectations.yml\n"


# Every rule can fail: one cell is made wrong for each, and only that rule is asked


def every_part(settings: Params) -> list[Part]:
    return [
        *validate.raw_parts(),
        *validate.clean_parts(),
        *validate.feature_parts(settings.feature_names),
        *(
            part
            for name in settings.horizons
            for part in validate_datasets.dataset_parts(
                name, columns(settings.dataset, settings.feature_names)
            )
        ),
    ]


def meaning(part: Part, **parameters: Any) -> Meaning:
    columns = list(part.contract)
    return Meaning(
        columns,
        part.features,
        list(part.helpers),
        part.keys[1],
        {"as_of": AS_OF, "min_bars": 252, "columns": columns} | parameters,
    )


def rules(part: Part, suites: Suites, **parameters: Any) -> list[Rule]:
    known = {"clean_rows": 3 * COUNT} if part.suite == "features" else {}
    return suites.rules(part.suite, meaning(part, **known | parameters))


def check(part: Part, suites: Suites, **parameters: Any) -> Checked:
    usual = {"as_of": AS_OF, "min_bars": 252, "clean_rows": 3 * COUNT}
    return validation.check(part, suites, usual | parameters)


def ask(
    rules: Sequence[Rule], slices: Sequence[pl.DataFrame], part: Part, suites: Suites
) -> list[Outcome]:
    checking = Check(suites, part.name, rules, list(part.helpers), part.keys)
    for frame in slices:
        checking.add(validation.with_helpers(frame, part))
    return list(checking.finish().outcomes)


def spoilt(frame: pl.DataFrame, rule: Rule, clock: str) -> pl.DataFrame:
    """The table with as few cells changed as break the rule."""
    args = rule.kwargs
    count = 1 if rule.mostly == 1 else int((1 - rule.mostly) * frame.height) + 1

    def put(column: str, value: Any, first: int = 1) -> pl.DataFrame:
        new = value if isinstance(value, pl.Expr) else pl.lit(value, frame.schema[column])
        rows = at(*range(first, first + count))
        return frame.with_columns(pl.when(rows).then(new).otherwise(column).alias(column))

    helpers: dict[str, Callable[[], pl.DataFrame]] = {
        IN_ORDER: lambda: put(clock, pl.col(clock).shift(1)),
        FINITE: lambda: put("rsi_14", float("nan")),
        KNOWN: lambda: put("mom_252", None, COUNT - 1),
        BARS: lambda: frame.head(args["min_value"] - 1),
        HOLD_OUT: lambda: put("target_date", AS_OF),
    }
    kinds: dict[str, Callable[[], pl.DataFrame]] = {
        "table_columns_to_match_set": lambda: frame.drop(frame.columns[-1]),
        "column_type_to_be": lambda: frame.with_columns(pl.lit(1, pl.Int32).alias(args["column"])),
        "table_row_count_to_be_between": lambda: frame.head(0),
        "table_row_count_to_equal": lambda: frame.head(-1),
        "compound_columns_to_be_unique": lambda: put(clock, pl.col(clock).shift(1)),
        "column_values_to_not_be_null": lambda: put(args["column"], None),
        "column_pair_values_a_to_be_greater_than_b": lambda: put(
            args["column_A"],
            pl.col(args["column_B"]) - 0.5 if "or_equal" in args else pl.col(args["column_B"]),
        ),
        "column_values_to_be_in_set": lambda: put(args["column"], not args["value_set"][0]),
        "column_values_to_be_between": lambda: put(args["column"], outside(args)),
    }
    by_helper = [helpers[name] for name in rule.columns if name in helpers]
    (breaks, *_) = [*by_helper, kinds[rule.type.removeprefix("expect_")]]
    return breaks()


def outside(kwargs: Mapping[str, Any]) -> Any:
    """A value beyond the bounds of a rule, or on one that is strict."""
    highest = kwargs.get("max_value")
    if isinstance(highest, date):
        return highest + timedelta(days=1)
    if highest is not None:
        return highest * 1.001 + 0.001
    return kwargs["min_value"] - (0 if kwargs.get("strict_min") else 0.001)


PARTS = [
    *("raw/daily", "raw/hourly", "raw/market", "raw/actions"),
    *("clean/daily", "clean/hourly", "clean/market"),
    "features/daily",
    *("datasets/short/train", "datasets/long/test"),
]


@pytest.mark.parametrize("name", PARTS)
def test_every_rule_fails_for_one_wrong_cell(
    name: str, pristine: Path, suites: Suites, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pristine)

    def fresh() -> Part:
        # A helper remembers the slice before: each table needs its own.
        return next(part for part in every_part(settings) if part.name == name)

    frame = pl.concat(validation.slices(fresh()))
    for rule in rules(fresh(), suites):
        good, bad = (
            ask([rule], [table], fresh(), suites)[0]
            for table in (frame, spoilt(frame, rule, fresh().keys[1]))
        )
        assert good.score == 100, f"{rule}: {good}"
        assert bad.score < 100, f"{rule}: {bad}"
        assert not bad.met
        assert bad.broken or 0 < bad.unexpected <= bad.rows, f"{rule}: {bad}"
        assert bool(bad.places) == bool(bad.unexpected), f"{rule}: {bad}"


# The arithmetic of slices


def cut(frame: pl.DataFrame, where: Sequence[int]) -> list[pl.DataFrame]:
    """Slices of whole symbols."""
    symbols = frame.partition_by("symbol", maintain_order=True)
    edges = [0, *sorted({edge % (len(symbols) + 1) for edge in where}), len(symbols)]
    return [pl.concat(symbols[low:high]) for low, high in pairwise(edges) if high > low]


@st.composite
def panels(draw: st.DrawFn) -> pl.DataFrame:
    """Clean bars of some symbols, some of them wrong."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    price = st.sampled_from([1.0, 2.0, 0.0, -1.0, None])
    rows = [
        {
            "symbol": f"S{index}",
            "date": date(2012, 1, draw(st.integers(1, 5))),
            "open": draw(price),
            "high": draw(price),
            "low": 1.0,
            "close": draw(price),
            "adj_close": 1.0,
            "volume": draw(st.sampled_from([0.0, 5.0, None])),
            "filled": draw(st.booleans()),
        }
        for index, length in enumerate(lengths)
        for _ in range(length)
    ]
    return pl.DataFrame(rows, schema=dict(tables.CLEAN_DAILY))


EXACT = (
    "close not null",
    "close > 0",
    "date <= 2012-01-03",
    "high >= open",
    "(symbol, date) unique",
    "rows in order",
    "bars of the symbol >= 3",
    "filled in False in 0.95 of the rows",
)


def unexpected(rule: str, frame: pl.DataFrame) -> int:
    """How many rows do not meet a rule, counted row by row."""
    rows = frame.to_dicts()
    keys = [(row["symbol"], row["date"]) for row in rows]
    bars = [row["symbol"] for row in rows]
    return sum(
        {
            "close not null": row["close"] is None,
            "close > 0": row["close"] is not None and row["close"] <= 0,
            "date <= 2012-01-03": row["date"] > date(2012, 1, 3),
            "high >= open": None not in (row["high"], row["open"]) and row["high"] < row["open"],
            "(symbol, date) unique": keys.count(key) > 1,
            "rows in order": index > 0 and key <= keys[index - 1],
            "bars of the symbol >= 3": bars.count(row["symbol"]) < 3,
            "filled in False in 0.95 of the rows": row["filled"],
        }[rule]
        for index, (key, row) in enumerate(zip(keys, rows, strict=True))
    )


@given(frame=panels(), where=st.lists(st.integers(0, 10), max_size=3))
@examples(15)
def test_counts_are_right_however_the_table_is_cut(
    suites: Suites, frame: pl.DataFrame, where: list[int]
) -> None:
    part = validate.clean_parts()[0]
    by_name = {str(rule): rule for rule in rules(part, suites, min_bars=3, as_of=date(2012, 1, 3))}
    outcomes = ask([by_name[name] for name in EXACT], cut(frame, where), part, suites)
    for name, outcome in zip(EXACT, outcomes, strict=True):
        assert not outcome.broken
        assert outcome.unexpected == unexpected(name, frame), name
        # No more symbols than are remembered: all of the rows are placed.
        placed = sum(place.rows for place in outcome.places.values())
        assert placed == (0 if outcome.met else outcome.unexpected)


def test_a_date_that_pandas_cannot_hold_is_counted(suites: Suites) -> None:
    part = validate.clean_parts()[0]
    frame = bars("AAA").with_columns(
        date=pl.when(at(COUNT - 1)).then(date(9999, 1, 1)).otherwise("date")
    )
    (rule,) = (rule for rule in rules(part, suites) if str(rule) == "date <= 2012-12-31")
    (outcome,) = ask([rule], [frame], part, suites)
    for fact in ("date <= 2012-12-31", "1 of 640 rows", "AAA 1 row from 9999-01-01"):
        assert fact in outcome.clause("t")


IS_BBB = {
    "type": "comparison",
    "column": {"name": "symbol"},
    "operator": "==",
    "parameter": "BBB",
}


@pytest.mark.parametrize(
    ("kind", "kwargs", "clause"),
    [
        (
            "expect_column_values_to_be_between",
            {"column": "close", "max_value": 10, "row_condition": IS_BBB},
            "close <= 10 where its row_condition holds fails in 640 of 640 rows "
            f"(BBB 640 rows from {DAYS[0]})",
        ),
        (
            "expect_column_values_to_match_regex",
            {"column": "symbol", "regex": "^[AB]+$", "mostly": 0.9},
            f"fails in 640 of 1,920 rows (CCC 640 rows from {DAYS[0]})",
        ),
        ("expect_column_max_to_be_between", {"column": "close", "max_value": 1e9}, ""),
        (
            "expect_column_max_to_be_between",
            {"column": "close", "max_value": 1},
            f"fails (found {bars('AAA')['close'].max()!r})",
        ),
        ("expect_column_to_exist", {"column": "close"}, ""),
        ("expect_table_column_count_to_equal", {"value": 8}, "fails (found 9)"),
        ("expect_column_values_to_be_unique", {"column": "gone"}, "fails (cannot be checked "),
    ],
)
def test_any_other_expectation_may_stand_in_a_suite(
    suites: Suites, kind: str, kwargs: dict[str, Any], clause: str
) -> None:
    slices = [bars(symbol) for symbol in SYMBOLS]
    (outcome,) = ask([Rule(kind, kwargs)], slices, validate.clean_parts()[0], suites)
    assert outcome.met is not bool(clause)
    if clause:
        assert clause in outcome.clause("clean/daily")


# The columns that validation adds


@given(
    keys=st.lists(
        st.tuples(
            st.sampled_from(["A", "B", None]),
            st.sampled_from([date(2012, 1, day) for day in (1, 2, 3)]),
        ),
        min_size=1,
    ),
    where=st.lists(st.integers(1, 20), max_size=3),
)
def test_order_is_seen_across_slices(keys: list[tuple[str | None, date]], where: list[int]) -> None:
    frame = pl.DataFrame(keys, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    edges = sorted({0, *(edge for edge in where if edge < len(keys)), len(keys)})
    helper = helper_columns.in_order("date")
    flags = [value for low, high in pairwise(edges) for value in helper(frame[low:high])]
    expected = [
        symbol is not None
        and (index == 0 or (keys[index - 1][0] is not None and (symbol, day) > keys[index - 1]))
        for index, (symbol, day) in enumerate(keys)
    ]
    assert flags == expected


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([None, 1.0]),
            st.sampled_from([None, 1.0]),
        ),
        min_size=1,
    ).map(lambda rows: sorted(rows, key=lambda row: row[0]))
)
def test_a_feature_that_was_known_must_stay_known(
    rows: list[tuple[int, float | None, float | None]],
) -> None:
    frame = pl.DataFrame(
        [(f"S{symbol}", *values) for symbol, *values in rows],
        schema={"symbol": pl.String, "a": pl.Float32, "b": pl.Float32},
        orient="row",
    )
    expected = [
        all(
            row[column] is not None
            or all(former[column] is None for former in rows[:index] if former[0] == row[0])
            for column in (1, 2)
        )
        for index, row in enumerate(rows)
    ]
    assert helper_columns.stay_known(["a", "b", "gone"])(frame).to_list() == expected
    assert helper_columns.stay_known(["gone"])(frame).to_list() == [True] * len(rows)


def test_nan_and_infinity_are_not_finite_and_null_is_neither() -> None:
    numbers = [1.0, float("nan"), float("inf"), float("-inf"), None]
    frame = pl.DataFrame({"a": numbers, "b": [1.0] * 5}, schema={"a": pl.Float32, "b": pl.Float64})
    expected = [True, False, False, False, True]
    assert helper_columns.every_number_finite(frame).to_list() == expected
    assert helper_columns.every_number_finite(frame.select("b", "a")).to_list() == expected
