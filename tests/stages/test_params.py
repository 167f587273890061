import copy
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import params, sources
from stages.common.errors import ParamsError
from stages.common.sections import SECTIONS
from stages.forecast.training import models, train_params
from stages.forecast.training.train_params import BASELINES
from tests.messages import facts
from tests.projects import ROOT

BASE = """
data:
  source: sample
  path: data/inbox
  as_of: '2012-12-31'
  calendar: XNYS
  extra_sessions: []
  symbols: [AAPL, IBM]
  market: [sp500]
  sources:
    yahoo: {hourly: false, retries: 4}
clean: {max_gap: 0.2, fill_limit: 0, zero_volume: reject, adjustment: auto}
features:
  lags: [1, 2]
  sma: [7, 21]
  ema: [12]
  momentum: [7]
  volatility: [14]
  ewma_volatility: [94]
  high: [20]
  relative_volume: [21]
  rsi: [14]
  macd: [[12, 26, 9]]
  bollinger: [20]
  bollinger_width: 2.0
  atr: [14]
  range: [5]
  market_lags: [1]
  market_same_session: true
  calendar: [month]
  hourly_volatility: true
validate: {min_quality: 95.0, min_bars: 252}
dataset: {test_share: 0.2, features: [return_lag*, mom_7], scale: [vol_14]}
horizons: {short: 1, long: 63}
train: {scope: pooled, folds: 5, first_fold: 0.4, embargo: 0, seed: 0, refit: true}
models:
  ridge: {alpha: 1.0}
  xgboost: {max_depth: 3}
evaluate: {level: 0.9, shrinkage: 0.5, scale_shrinkage: 0.3, significance: 0.05}
backtest: {delay: 1, cost: 5.0, slippage: 5.0, cap: 1.0, volatility: 0.15, seed: 0}
"""

MONITOR = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["monitor"]

ABSENT = object()


def content(**changes: Any) -> dict[str, Any]:
    """The base with some dotted keys (`features__sma`) set, or left out (`ABSENT`)."""
    whole: dict[str, Any] = {**yaml.safe_load(BASE), "monitor": copy.deepcopy(MONITOR)}
    for key, value in changes.items():
        *parents, last = key.split("__")
        section = whole
        for parent in parents:
            section = section[parent]
        if value is ABSENT:
            del section[last]
        else:
            section[last] = copy.deepcopy(value)
    return whole


def refusal(value: object) -> str:
    with pytest.raises(ParamsError) as error:
        params.parse(value)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_params_of_the_repository_are_valid(repo_root: Path) -> None:
    loaded = params.load(repo_root / "params.yaml")
    assert not set(BASELINES) & set(loaded.models)
    assert "hourly_volatility" in loaded.selected_features


def test_every_section_is_known_to_every_stage() -> None:
    fields = {info.alias or name for name, info in params.Params.model_fields.items()}
    assert fields == set(SECTIONS)


def test_sections_are_typed() -> None:
    loaded = params.parse(content())
    assert loaded.data.as_of == date(2012, 12, 31)
    assert loaded.data.path == Path("data/inbox")
    assert loaded.features.macd == [(12, 26, 9)]
    assert loaded.validate_.min_bars == 252


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # a wrong key
        ({"features__smaa": [7]}, "features.smaa: unknown key (did you mean sma?)"),
        (
            {"clean__colour": "red"},
            "clean.colour: unknown key; there are max_gap, fill_limit, zero_volume, adjustment, "
            "max_rejected",
        ),
        ({"feature": {}}, "feature: unknown key (did you mean features?)"),
        (
            {"validate__min_qualty": 1},
            "validate.min_qualty: unknown key (did you mean min_quality?)",
        ),
        (
            {"models__xgboost__max_dept": 3},
            "models.xgboost.max_dept: unknown key (did you mean max_depth?)",
        ),
        (
            {"data__sources__yahoo__retires": 3},
            "data.sources.yahoo.retires: unknown key (did you mean retries?)",
        ),
        (
            {"monitor__drift__windows": 3},
            "monitor.drift.windows: unknown key (did you mean window?)",
        ),
        ({"monitor__gates__error": 1}, "monitor.gates.error: must be less than 1, got 1"),
        # a section or key that is not there
        ({"clean": ABSENT}, "clean: is missing"),
        ({"validate": ABSENT}, "validate: is missing"),
        ({"train__seed": ABSENT}, "train.seed: is missing"),
        ({"clean": None}, "clean: must be a mapping of keys to values, got None"),
        ({"models__ridge": None}, "models.ridge: must be a mapping of keys to values, got None"),
        # a wrong type
        ({"features__sma": 7}, "features.sma: must be a list, got 7"),
        ({"features__sma": ["a"]}, "features.sma.0: must be an integer, got 'a'"),
        ({"features__sma": [7, 1.5]}, "features.sma.1: must be an integer, got 1.5"),
        ({"features__macd": [[12, 26]]}, "features.macd.0.2: is missing"),
        (
            {"features__macd": [[12, 26, 9, 1]]},
            "features.macd.0: must have 3 entries, got [12, 26, 9, 1]",
        ),
        (
            {"features__market_same_session": "perhaps"},
            "features.market_same_session: must be true or false, got 'perhaps'",
        ),
        ({"clean__max_gap": "wide"}, "clean.max_gap: must be a number, got 'wide'"),
        (
            {"data__as_of": "yesterday"},
            "data.as_of: must be a date such as '2012-12-31', got 'yesterday'",
        ),
        (
            {"data__extra_sessions": ["2012-13-01"]},
            "data.extra_sessions.0: must be a date such as '2012-12-31', got '2012-13-01'",
        ),
        ({"data__path": 3}, "data.path: must be a path, got 3"),
        (
            {"data__calendar": 3},
            "data.calendar: must be text, got 3; put quotes around it, with every digit that it "
            "has: '3', '000001'",
        ),
        (
            {"data__symbols": yaml.safe_load("[AAPL, ON]")},
            "data.symbols.1: must be text, got True (which is how YAML reads ON, yes, NO and the "
            "like); put quotes around it: 'ON'",
        ),
        (
            {"data__symbols": yaml.safe_load("[7203, 000001]")},
            "data.symbols.0: must be text, got 7203; put quotes around it, with every digit that "
            "it has: '7203', '000001'; data.symbols.1: must be text, got 1; put quotes around it, "
            "with every digit that it has: '1', '000001'",
        ),
        (
            {"models__xgboost__max_depth": "six"},
            "models.xgboost.max_depth: must be an integer, got 'six'",
        ),
        # a wrong range or choice
        (
            {"features__sma": [0, 21]},
            "features.sma: windows must be positive integers, got [0, 21]",
        ),
        (
            {"features__volatility": [1, 14]},
            "features.volatility: windows of a spread must be at least 2, got [1, 14]",
        ),
        ({"features__sma": [7, 7]}, "features.sma: each entry may stand once, got [7, 7]"),
        (
            {"features__macd": [[26, 12, 9]]},
            "features.macd: each entry is [fast, slow, signal] with fast below slow, "
            "got [[26, 12, 9]]",
        ),
        (
            {"features__calendar": ["year"]},
            "features.calendar.0: must be 'day_of_week', 'day_of_month', 'month', "
            "'week_of_year' or 'quarter', got 'year'",
        ),
        (
            {"features__bollinger_width": 0},
            "features.bollinger_width: must be greater than 0, got 0",
        ),
        ({"clean__fill_limit": -1}, "clean.fill_limit: must be greater than or equal to 0, got -1"),
        (
            {"clean__zero_volume": "drop"},
            "clean.zero_volume: must be 'keep' or 'reject', got 'drop'",
        ),
        (
            {"clean__adjustment": "some"},
            "clean.adjustment: must be 'auto', 'adj_close', 'actions' or 'none', got 'some'",
        ),
        ({"dataset__test_share": 1}, "dataset.test_share: must be less than 1, got 1"),
        ({"evaluate__level": 0}, "evaluate.level: must be greater than 0, got 0"),
        ({"backtest__cost": -1}, "backtest.cost: must be greater than or equal to 0, got -1"),
        (
            {"validate__min_quality": 101},
            "validate.min_quality: must be less than or equal to 100, got 101",
        ),
        ({"train__folds": 1}, "train.folds: must be greater than or equal to 2, got 1"),
        ({"train__scope": "each"}, "train.scope: must be 'pooled' or 'per_symbol', got 'each'"),
        ({"horizons__short": 0}, "horizons.short: must be greater than 0, got 0"),
        ({"models__ridge__alpha": -1}, "models.ridge.alpha: must be greater than 0, got -1"),
        # names
        (
            {"horizons__Week-1": 5},
            "horizons.Week-1: a name is made of a-z, 0-9 and _, and begins with a letter",
        ),
        ({"horizons": {}}, "horizons: name at least one horizon, for example `short: 1`"),
        (
            {"horizons": {"candidates": 1, "clean": 2}},
            "horizons.candidates: the name is taken; choose another; "
            "horizons.clean: the name is taken; choose another",
        ),
        (
            {"models__zero": {}},
            "models.zero: is a baseline, which evaluate computes in every run; take it out of "
            "models",
        ),
        ({"models": {}}, "models: name at least one model, for example `ridge: {}`"),
        (
            {"models__ridgr": {}},
            "models.ridgr: unknown kind of model 'ridgr' (did you mean ridge?); there are "
            "ridge, random_forest, xgboost, lightgbm, lstm; name one of them as its kind",
        ),
        (
            {"models__deep": {"kind": "xgbost"}},
            "models.deep: unknown kind of model 'xgbost' (did you mean xgboost?); there are "
            "ridge, random_forest, xgboost, lightgbm, lstm",
        ),
        # contradictions
        (
            {"data__source": "smaple"},
            "data.source: unknown source 'smaple' (did you mean sample?); "
            f"there are {', '.join(sources.names())}",
        ),
        (
            {"data__sources__bloomberg": {}},
            "data.sources.bloomberg: unknown source 'bloomberg'; "
            f"there are {', '.join(sources.names())}",
        ),
        ({"data__symbols": ["A", "A"]}, "data.symbols: each entry may stand once, got ['A', 'A']"),
        (
            {"data__market": ["sp500", "IBM", "AAPL"]},
            "data.market: AAPL, IBM cannot be in symbols as well",
        ),
        (
            {"data__market": ["^VIX", "sp500"], "data__levels": ["^VXI"]},
            "data.levels: data.market has no ^VXI (did you mean ^VIX?); add it there, or take it "
            "out of data.levels",
        ),
        (
            {"data__market": [], "data__levels": ["vix"]},
            "data.levels: data.market has no vix; add it there, or take it out of data.levels",
        ),
        (
            {"data__levels": ["vix", "vix"]},
            "data.levels: each entry may stand once, got ['vix', 'vix']",
        ),
        ({"data__levels": "vix"}, "data.levels: must be a list, got 'vix'"),
        (
            {
                "data__market": ["vix"],
                "data__levels": ["vix"],
                "dataset__features": ["vix_return_lag1"],
            },
            "dataset.features: no section of features makes vix_return_lag1 (did you mean "
            "return_lag1?); take it out of dataset.features, or add its window",
        ),
        (
            {
                "data__market": ["vix"],
                "data__levels": ["vix"],
                "dataset__scale": ["vix_change_lag*"],
            },
            "dataset.scale: vix_change_lag1 does not measure how far prices spread; name features "
            "of vol_*, ewma_vol_*, range_*, rel_atr_*, bb_width_*, hourly_volatility, *_level",
        ),
        (
            {"dataset__features": ["mom_8"]},
            "dataset.features: no section of features makes mom_8 (did you mean mom_7?); "
            "take it out of dataset.features, or add its window",
        ),
        (
            {"dataset__scale": ["vol_21"]},
            "dataset.scale: no section of features makes vol_21 (did you mean vol_14?); "
            "take it out of dataset.scale, or add its window",
        ),
        (
            {"dataset__scale": ["mom_*"]},
            "dataset.scale: mom_7 does not measure how far prices spread; name features of "
            "vol_*, ewma_vol_*, range_*, rel_atr_*, bb_width_*, hourly_volatility, *_level",
        ),
        (
            {"features__ewma_volatility": [100]},
            "features.ewma_volatility: decays are percent, from 1 to 99, got [100]",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(changes: dict[str, Any], message: str) -> None:
    assert refusal(content(**changes)) == message


def test_every_mistake_is_named_in_one_line() -> None:
    assert refusal(
        content(
            features__sma=[0, 21],
            clean__max_gap="wide",
            models__xgboost={"max_depth": "six", "subsample": 2},
            models__ridge__alpha=0,
        )
    ) == (
        "clean.max_gap: must be a number, got 'wide'; "
        "features.sma: windows must be positive integers, got [0, 21]; "
        "models.ridge.alpha: must be greater than 0, got 0; "
        "models.xgboost.max_depth: must be an integer, got 'six'; "
        "models.xgboost.subsample: must be less than or equal to 1, got 2"
    )


def test_both_contradictions_of_a_dataset_are_named() -> None:
    assert refusal(content(dataset__features=["alpha"], dataset__scale=["beta"])) == (
        "dataset.features: no section of features makes alpha; "
        "take it out of dataset.features, or add its window; "
        "dataset.scale: no section of features makes beta; "
        "take it out of dataset.scale, or add its window"
    )


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_content_that_is_no_mapping(value: object) -> None:
    expected = f"params.yaml: must be a mapping of keys to values, got {value!r}"
    assert refusal(value) == expected


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert facts(str(error.value)) == facts(
        f"{path}: no such file; run this in the root of the project"
    )


def test_invalid_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("data:\n  source: [sample\nclean: {}\n", encoding="utf-8")
    with pytest.raises(ParamsError) as error:
        params.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}:3: is not valid YAML (while parsing a flow sequence: ")
    assert "expected ',' or ']'" in message


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"data: \xff\xfe")
    with pytest.raises(ParamsError) as error:
        params.load(path)
    assert facts(str(error.value)) == facts(f"{path}: is not valid YAML (not UTF-8 text)")


def test_a_number_that_yaml_reads_as_text_becomes_a_number() -> None:
    # `dvc exp run -S models.ridge.alpha=1e-06` writes it like this.
    sections = content()
    sections["models"]["ridge"] = yaml.safe_load("alpha: 1e-06")
    assert sections["models"]["ridge"]["alpha"] == "1e-06"
    _, options = train_params.model(params.parse(sections).models, "ridge")
    assert options == {"alpha": 1e-06}


def test_a_model_is_its_function_and_its_options_with_defaults() -> None:
    function, options = train_params.model(params.parse(content()).models, "xgboost")
    assert function is models.xgboost
    assert options["max_depth"] == 3
    assert options["reg_lambda"] == 1.0
    assert "kind" not in options


def test_two_variants_of_one_kind_stand_side_by_side() -> None:
    loaded = params.parse(content(models__xgboost_deep={"kind": "xgboost", "max_depth": 6}))
    function, options = train_params.model(loaded.models, "xgboost_deep")
    assert function is models.xgboost
    assert options["max_depth"] == 6
    assert train_params.model(loaded.models, "xgboost")[1]["max_depth"] == 3


def test_a_model_that_no_entry_names() -> None:
    with pytest.raises(ParamsError) as error:
        train_params.model(params.parse(content()).models, "rigde")
    assert facts(str(error.value)) == facts(
        "models: unknown model 'rigde' (did you mean ridge?); there are ridge, xgboost"
    )


def test_a_model_sees_every_feature_or_those_that_it_names() -> None:
    sections = content(
        models__xgboost__features=["mom_*"], models__lstm={"features": ["return_lag?"]}
    )
    candidates = params.parse(sections).models
    assert [entry["features"] for entry in candidates.values()] == [
        None,
        ["mom_*"],
        ["return_lag?"],
    ]
    # A model of no sequence is not told the names of its columns.
    assert "features" not in train_params.model(candidates, "xgboost")[1]


@pytest.mark.parametrize("kind", ["ridge", "lstm"])
@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (
            ["return_lag3"],
            "models.m.features: dataset.features selects no return_lag3 (did you mean "
            "return_lag2?); name what it selects, or add return_lag3 to it",
        ),
        # The features stage makes it, and no model sees it.
        (
            ["mom_7", "rsi_*"],
            "models.m.features: dataset.features selects no rsi_*; name what it selects, or add "
            "rsi_* to it",
        ),
        ([], "models.m.features: selects nothing; name some, or take the key out to see all"),
        ("mom_7", "models.m.features: must be a list, got 'mom_7'"),
        ([7], "models.m.features.0: must be text, got 7; put quotes around it"),
        (["mom_7", "mom_7"], "models.m.features: each entry may stand once"),
    ],
)
def test_a_column_that_a_model_cannot_see_is_named(kind: str, features: Any, expected: str) -> None:
    message = refusal(content(models__m={"kind": kind, "features": features}))
    assert facts(expected) <= facts(message)


def test_a_model_may_name_a_family_that_is_off() -> None:
    # `dvc exp run -S 'features.momentum=[]'` does not ask for other models.
    sections = content(features__momentum=[], models__ridge__features=["return_lag*", "mom_*"])
    sections["dataset"]["features"] = ["return_lag*", "mom_*"]
    assert params.parse(sections).selected_features == ["return_lag1", "return_lag2"]


def test_the_lstm_of_the_page_is_two_lines_of_params(repo_root: Path) -> None:
    page = (repo_root / "docs" / "forecasting.md").read_text(encoding="utf-8")
    (example,) = re.findall(
        r"^```yaml\n(models:\n  lstm:\n.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    sections = yaml.safe_load((repo_root / "params.yaml").read_text(encoding="utf-8"))
    sections["models"] |= yaml.safe_load(example)["models"]
    assert "lstm" in params.parse(sections).models


def test_a_level_is_a_level_and_its_changes_instead_of_returns() -> None:
    sections = content(
        data__market=["sp500", "vix"],
        data__levels=["vix"],
        features__market_lags=[1, 2],
        dataset__features=["*_return_lag?", "*_level", "*_change_lag*"],
        dataset__scale=["vol_14", "*_level"],
    )
    assert params.parse(sections).selected_features == [
        *["sp500_return_lag1", "sp500_return_lag2"],
        *["vix_level", "vix_change_lag1", "vix_change_lag2"],
    ]
    assert params.parse(content()).data.levels == []


def test_a_source_without_a_section_takes_its_defaults() -> None:
    loaded = params.parse(content(data__source="yahoo", data__sources={}))
    assert loaded.data.source_options.items() >= {"hourly": False, "retries": 4}.items()


def test_patterns_select_the_features_that_a_model_sees_in_the_order_of_the_table() -> None:
    loaded = params.parse(content(dataset__features=["mom_*", "*_return_lag?", "return_lag*"]))
    assert loaded.selected_features == ["return_lag1", "return_lag2", "mom_7", "sp500_return_lag1"]


@given(
    windows=st.lists(st.integers(min_value=1, max_value=400), unique=True),
    family=st.sampled_from(["sma", "momentum", "rsi", "atr", "lags"]),
)
def test_every_list_grows_and_shrinks_the_columns(windows: list[int], family: str) -> None:
    sections = content(dataset__features=["month"])
    sections["features"][family] = []
    without = params.parse(sections).feature_names
    sections["features"][family] = windows
    columns = params.parse(sections).feature_names
    assert set(without) <= set(columns)
    per_window = 1 if family in ("momentum", "rsi", "lags") else 2
    assert len(columns) == len(without) + per_window * len(windows)
    assert len(set(columns)) == len(columns)


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("rsi_*", {"features__rsi": []}),
        ("rel_macd_*", {"features__macd": []}),
        ("*_return_lag*", {"data__market": []}),
        ("*_return_lag*", {"data__market": ["vix"], "data__levels": ["vix"]}),
        ("*_level", {}),
        ("*_change_lag*", {"data__market": []}),
        ("*_return_lag*", {"features__market_lags": []}),
        ("hourly_*", {"features__hourly_volatility": False}),
    ],
)
def test_a_pattern_may_ask_for_a_family_that_is_left_out(
    pattern: str, left_out: dict[str, Any]
) -> None:
    loaded = params.parse(content(dataset__features=["return_lag*", pattern], **left_out))
    assert loaded.selected_features == ["return_lag1", "return_lag2"]


def test_a_pattern_that_no_family_can_make_is_a_mistake() -> None:
    assert refusal(content(dataset__features=["return_lag*", "rsy_*"])) == (
        "dataset.features: no section of features makes rsy_*; "
        "take it out of dataset.features, or add its window"
    )


def test_a_dataset_without_a_feature_is_a_mistake() -> None:
    assert refusal(content(dataset__features=["rsi_*"], features__rsi=[])) == (
        "dataset.features: selects no feature; name some, such as return_lag*"
    )
