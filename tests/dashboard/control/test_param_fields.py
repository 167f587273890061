"""The form has a field for every param of the pipeline, with the type and range of its model."""

from typing import Any

import pytest

from dashboard.control import param_fields, yaml_comments
from dashboard.control.param_fields import ParamField
from stages import params
from stages.common import sections
from tests.projects import ROOT
from versions.values import flat

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
CONTENT = sections.read(ROOT / "params.yaml")


def fields_of(content: Any) -> dict[str, ParamField]:
    params.parse(content)
    return {field.key: field for field in param_fields.fields(content, {})}


FIELDS = {field.key: field for field in param_fields.fields(CONTENT, yaml_comments.comments(TEXT))}


def test_every_value_that_a_stage_obeys_has_a_field() -> None:
    stage_params = {
        name: section for name, section in CONTENT.items() if name not in ("monitor", "search")
    }
    assert {key: field.value for key, field in FIELDS.items()} == flat(stage_params) | {
        # An empty text stands for no format.
        "data.sources.csv.date_format": []
    }


@pytest.mark.parametrize(
    ("key", "kind", "limits"),
    [
        ("data.as_of", "day", ""),
        ("data.calendar", "text", ""),
        ("data.symbols", "texts", ""),
        ("data.sources.yahoo.hourly", "flag", ""),
        ("data.sources.yahoo.retries", "integer", "above 0"),
        ("clean.zero_volume", "choice", ""),
        ("clean.max_rejected", "number", "at least 0, at most 1"),
        ("features.sma", "list", ""),
        ("features.macd", "list", ""),
        ("features.calendar", "choices", ""),
        ("dataset.test_share", "number", "above 0, below 1"),
        ("horizons.short", "integer", "above 0"),
        ("train.folds", "integer", "at least 2"),
        ("models.ridge.alpha", "number", "above 0"),
        ("models.random_forest.min_leaf", "number", "above 0, at most 0.5"),
    ],
)
def test_type_and_range_are_those_of_the_model(key: str, kind: str, limits: str) -> None:
    assert (FIELDS[key].kind, FIELDS[key].range) == (kind, limits)


def test_choices_null_and_comments() -> None:
    assert FIELDS["clean.adjustment"].choices == ("auto", "adj_close", "actions", "none")
    assert FIELDS["features.calendar"].choices[:2] == ("day_of_week", "day_of_month")
    assert FIELDS["data.start"].optional
    assert not FIELDS["data.as_of"].optional
    assert FIELDS["train.scope"].comment == (
        "pooled: one model learns from all symbols; per_symbol: one each"
    )
    # It stands below the comment of its section, and has none of its own.
    assert FIELDS["models.ridge.alpha"].comment == ""


def test_another_model_has_the_options_of_its_kind() -> None:
    entry = {"kind": "lstm", "units": 4, "features": ["return_lag*"]}
    fields = fields_of(CONTENT | {"models": {"small": entry}})
    assert fields["models.small.units"].range == "above 0"
    assert (fields["models.small.features"].kind, fields["models.small.features"].optional) == (
        *("texts", True),
    )


def test_a_number_that_yaml_reads_as_text_is_a_number() -> None:
    fields = fields_of(CONTENT | {"models": {"ridge": {"alpha": "1e-06"}}})
    assert fields["models.ridge.alpha"].value == 1e-06


def test_the_search_finds_words_of_keys_and_comments() -> None:
    def keys(wanted: str) -> list[str]:
        return [key for key, field in FIELDS.items() if param_fields.matches(field, wanted)]

    assert keys("alpha") == ["models.ridge.alpha"]
    assert "models.xgboost.max_depth" in keys("XGBOOST depth")
    assert keys("walk-forward") == ["train.folds"]
    assert len(keys("")) == len(FIELDS)
