"""`search:` in params.yaml: what may be tried, and what is refused in one line."""

import copy
from typing import Any

import pytest
import yaml

from stages import params
from stages.common.errors import ParamsError
from tests.projects import ROOT
from versions.tuning import space

CONTENT = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def content(search: object, **changes: object) -> dict[str, Any]:
    whole: dict[str, Any] = copy.deepcopy(CONTENT)
    whole["models"]["ridge"].update(changes)
    return {**whole, "search": search}


def read(search: object, **changes: object) -> space.Space:
    return space.load(content(search, **changes), "short")[0]


def refusal(search: object) -> str:
    with pytest.raises(ParamsError) as error:
        space.load(content(search), "short")[0]
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("nothing", [{}, None])
def test_there_need_be_no_space(nothing: object) -> None:
    assert read(nothing) == {}
    without = {key: value for key, value in CONTENT.items() if key != "search"}
    assert space.load(without, "short")[0] == {}


def test_a_horizon_that_params_yaml_lacks_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"horizons: no 'shrot'.*short"):
        space.load(CONTENT, "shrot")


def test_a_model_that_is_taken_out_stops_the_search_alone() -> None:
    whole = content({"models.xgboost.max_depth": {"low": 2, "high": 6}})
    del whole["models"]["xgboost"]
    assert "xgboost" not in params.parse(whole).models
    with pytest.raises(
        ParamsError, match=r"^search\.models\.xgboost\.max_depth: params\.yaml has no"
    ):
        space.load(whole, "short")[0]


def test_integers_stay_integers_and_numbers_numbers() -> None:
    entries = read(
        {
            "models.xgboost.max_depth": {"low": 2, "high": 6.0},
            "models.ridge.alpha": {"low": 1, "high": 100, "log": True},
            "horizons.long": {"low": 21, "high": 63, "step": 21},
            "evaluate.shrinkage": {"low": 0, "high": 1, "step": 0.25},
        }
    )
    assert entries["models.xgboost.max_depth"] == space.integers(low=2, high=6)
    assert entries["models.ridge.alpha"] == space.numbers(low=1.0, high=100.0, log=True)
    assert entries["horizons.long"] == space.integers(low=21, high=63, step=21)
    assert entries["evaluate.shrinkage"] == space.numbers(low=0.0, high=1.0, step=0.25)


def test_a_number_that_pyyaml_reads_as_text_is_a_number() -> None:
    entries = read({"models.ridge.alpha": {"low": "1e-06", "high": 1}}, alpha="1e-06")
    assert entries["models.ridge.alpha"] == space.numbers(low=1e-6, high=1.0)


def test_an_integer_that_stands_for_a_number_is_a_number() -> None:
    # As `-S models.ridge.alpha=10` writes it.
    entries = read({"models.ridge.alpha": {"low": 0.1, "high": 1}}, alpha=10)
    assert entries["models.ridge.alpha"] == space.numbers(low=0.1, high=1.0)


def test_a_param_that_is_wrong_itself_is_the_only_mistake() -> None:
    with pytest.raises(ParamsError) as error:
        read({"models.ridge.alpha": {"low": 0.1, "high": 1}}, alpha="much")
    assert str(error.value) == "models.ridge.alpha: must be a number, got 'much'"


def test_choices_are_values_of_any_kind() -> None:
    entries = read(
        {
            "features.sma": {"choices": [[5, 20], []]},
            "train.scope": {"choices": ["pooled", "per_symbol"]},
            "features.market_same_session": {"choices": [True, False]},
        }
    )
    assert entries["features.sma"] == space.choices(choices=[[5, 20], []])
    assert entries["features.market_same_session"] == space.choices(choices=[True, False])


ALPHA = "models.ridge.alpha"


@pytest.mark.parametrize(
    ("search", "key", "fact"),
    [
        ({"models.ridge.alhpa": {"low": 1}}, "models.ridge.alhpa", f"did you mean {ALPHA}?"),
        ({"zzz": {"low": 1, "high": 2}}, "zzz", f"name keys like {ALPHA}"),
        ({"models.ridge": {"choices": [1, 2]}}, "models.ridge", "a whole section"),
        ({"features.sma": {"low": 1, "high": 2}}, "features.sma", "is [7, 21], not a number"),
        (
            {"features.market_same_session": {"low": 0, "high": 1}},
            "features.market_same_session",
            "give `choices`",
        ),
        (
            {"models.xgboost.max_depth": {"low": 2, "high": 2.5}},
            "models.xgboost.max_depth.high",
            "must be an integer, got 2.5",
        ),
        ({ALPHA: {"low": 3, "high": 2}}, ALPHA, "low=3.0, high=2.0"),
        ({ALPHA: {"low": 0, "high": 2, "log": True}}, ALPHA, "low=0.0"),
        ({ALPHA: {"low": 1, "high": 2, "log": True, "step": 1}}, ALPHA, "`step` is not supported"),
        ({ALPHA: {"low": 1, "high": 2, "logs": True}}, f"{ALPHA}.logs", "did you mean log?"),
        ({ALPHA: {"high": 2}}, f"{ALPHA}.low", "is missing"),
        ({ALPHA: 2}, ALPHA, "a mapping with low and high, or choices, got 2"),
        ({"features.sma": {"choices": [[5], [5]]}}, "features.sma", "each once, got [[5], [5]]"),
        ({"features.sma": {"choices": [[5]]}}, "features.sma", "at least two"),
        ({"features.sma": {"choices": [{"a": 1}, [5]]}}, "features.sma", "not a mapping"),
    ],
)
def test_mistakes_are_named_in_one_line(search: object, key: str, fact: str) -> None:
    message = refusal(search)
    assert message.startswith(f"search.{key}: ")
    assert fact in message


def test_a_space_is_a_mapping() -> None:
    assert refusal([1]) == "search: must be a mapping of keys to values, got [1]"
