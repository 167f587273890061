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


def read(search: object, **changes: object) -> dict[str, space.Entry]:
    return space.load(content(search, **changes))[0]


def refusal(search: object) -> str:
    with pytest.raises(ParamsError) as error:
        space.load(content(search))[0]
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("nothing", [{}, None])
def test_there_need_be_no_space(nothing: object) -> None:
    assert read(nothing) == {}
    without = {key: value for key, value in CONTENT.items() if key != "search"}
    assert space.load(without)[0] == {}


def test_a_model_that_is_taken_out_stops_the_search_alone() -> None:
    whole = content({"models.xgboost.max_depth": {"low": 2, "high": 6}})
    del whole["models"]["xgboost"]
    assert "xgboost" not in params.parse(whole).models
    with pytest.raises(
        ParamsError, match=r"^search\.models\.xgboost\.max_depth: params\.yaml has no"
    ):
        space.load(whole)[0]


def test_integers_stay_integers_and_numbers_numbers() -> None:
    found = read(
        {
            "models.xgboost.max_depth": {"low": 2, "high": 6.0},
            "models.ridge.alpha": {"low": 1, "high": 100, "log": True},
            "horizons.long": {"low": 21, "high": 63, "step": 21},
            "evaluate.shrinkage": {"low": 0, "high": 1, "step": 0.25},
        }
    )
    assert found["models.xgboost.max_depth"] == space.Integers(low=2, high=6)
    assert found["models.ridge.alpha"] == space.Numbers(low=1.0, high=100.0, log=True)
    assert found["horizons.long"] == space.Integers(low=21, high=63, step=21)
    assert found["evaluate.shrinkage"] == space.Numbers(low=0.0, high=1.0, step=0.25)


def test_a_number_that_pyyaml_reads_as_text_is_a_number() -> None:
    found = read({"models.ridge.alpha": {"low": "1e-06", "high": 1}}, alpha="1e-06")
    assert found["models.ridge.alpha"] == space.Numbers(low=1e-6, high=1.0)


def test_an_integer_that_stands_for_a_number_is_a_number() -> None:
    # As `-S models.ridge.alpha=10` writes it.
    found = read({"models.ridge.alpha": {"low": 0.1, "high": 1}}, alpha=10)
    assert found["models.ridge.alpha"] == space.Numbers(low=0.1, high=1.0)


def test_a_param_that_is_wrong_itself_is_the_only_mistake() -> None:
    with pytest.raises(ParamsError) as error:
        read({"models.ridge.alpha": {"low": 0.1, "high": 1}}, alpha="much")
    assert str(error.value) == "models.ridge.alpha: must be a number, got 'much'"


def test_choices_are_values_of_any_kind() -> None:
    found = read(
        {
            "features.sma": {"choices": [[5, 20], []]},
            "train.scope": {"choices": ["pooled", "per_symbol"]},
            "features.market_same_session": {"choices": [True, False]},
        }
    )
    assert found["features.sma"] == space.Choices(choices=[[5, 20], []])
    assert found["features.market_same_session"] == space.Choices(choices=[True, False])


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"models.ridge.alhpa": {"low": 1, "high": 2}},
            "search.models.ridge.alhpa: params.yaml has no such key "
            "(did you mean models.ridge.alpha?)",
        ),
        (
            {"zzz": {"low": 1, "high": 2}},
            "search.zzz: params.yaml has no such key (name keys like models.ridge.alpha)",
        ),
        (
            {"models.ridge": {"choices": [1, 2]}},
            "search.models.ridge: is a whole section; name the keys in it",
        ),
        (
            {"features.sma": {"low": 1, "high": 2}},
            "search.features.sma: is [7, 21], not a number; give `choices` instead of a range",
        ),
        (
            {"features.market_same_session": {"low": 0, "high": 1}},
            "search.features.market_same_session: is True, not a number; "
            "give `choices` instead of a range",
        ),
        (
            {"models.xgboost.max_depth": {"low": 2, "high": 2.5}},
            "search.models.xgboost.max_depth.high: must be an integer, got 2.5",
        ),
        (
            {"models.ridge.alpha": {"low": 2, "high": 2}},
            "search.models.ridge.alpha: low must be below high, got 2.0 and 2.0",
        ),
        (
            {"models.ridge.alpha": {"low": 0, "high": 2, "log": True}},
            "search.models.ridge.alpha: a log scale begins above 0, got low 0.0",
        ),
        (
            {"models.ridge.alpha": {"low": 1, "high": 2, "log": True, "step": 1}},
            "search.models.ridge.alpha: a log scale takes no step; leave one of the two out",
        ),
        (
            {"models.ridge.alpha": {"low": 1, "high": 2, "logs": True}},
            "search.models.ridge.alpha.logs: unknown key (did you mean log?)",
        ),
        (
            {"models.ridge.alpha": {"high": 2}},
            "search.models.ridge.alpha.low: is missing",
        ),
        (
            {"models.ridge.alpha": 2},
            "search.models.ridge.alpha: must be a mapping with low and high, or choices, got 2",
        ),
        (
            {"features.sma": {"choices": [[5], [5]]}},
            "search.features.sma.choices: each choice may stand once, got [[5], [5]]",
        ),
        (
            {"features.sma": {"choices": [{"a": 1}, [5]]}},
            "search.features.sma.choices: a choice is a value or a list, not a mapping; "
            "search its keys one by one",
        ),
        ([], "search: must be a mapping of keys to values, got []"),
    ],
)
def test_mistakes_are_named_in_one_line(search: object, message: str) -> None:
    assert refusal(search) == message
