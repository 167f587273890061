"""What the form gives is checked as the pipeline checks the file, and DVC takes it over."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.control import param_changes, run_commands
from dashboard.control.param_changes import Entered
from dashboard.control.param_fields import ParamField
from dashboard.views.control import param_widgets
from stages import params
from stages.common.errors import ParamsError
from tests.dashboard.control.test_param_fields import CONTENT, FIELDS
from tests.projects import ROOT
from versions.values import flat


def changed(**entered: Entered) -> dict[str, Any]:
    values = {key.replace("__", "."): value for key, value in entered.items()}
    return param_changes.changes(list(FIELDS.values()), values)


def test_only_what_differs_is_a_change() -> None:
    untouched = {key: param_changes.widget_value(field) for key, field in FIELDS.items()}
    assert param_changes.changes(list(FIELDS.values()), untouched) == {}
    assert changed(models__ridge__alpha=10.0, features__sma="7,21") == {}
    assert changed(
        models__ridge__alpha=5.0,
        features__sma="5, 20",
        features__macd="[5, 10, 3], [12, 26, 9]",
        data__as_of=date(2012, 6, 29),
        data__start="2001-01-02",
        train__refit=False,
        data__symbols=["AAPL"],
    ) == {
        "models.ridge.alpha": 5.0,
        "features.sma": [5, 20],
        "features.macd": [[5, 10, 3], [12, 26, 9]],
        "data.as_of": "2012-06-29",
        "data.start": "2001-01-02",
        "train.refit": False,
        "data.symbols": ["AAPL"],
    }


@pytest.mark.parametrize(
    ("key", "entered", "facts"),
    [
        ("features.sma", "5; 20", ["features.sma", "a list such as 7, 21", "5; 20"]),
        ("features.sma", "5, 5", ["features.sma", "once"]),
        ("features.sma", "0", ["features.sma", "positive"]),
        ("features.macd", "[26, 12, 9]", ["features.macd", "fast below slow"]),
        ("models.ridge.alpha", 0.0, ["models.ridge.alpha", "greater than 0"]),
        ("data.start", "soon", ["data.start", "a date such as", "soon"]),
        ("data.start", "2013-06-01", ["data.start", "after data.as_of"]),
        ("data.source", "<b>x</b>", ["data.source", "unknown source", "<b>x</b>"]),
        ("dataset.features", ["no_such"], ["dataset.features", "no_such"]),
    ],
)
def test_what_the_pipeline_would_refuse_is_one_line(
    key: str, entered: Entered, facts: list[str]
) -> None:
    with pytest.raises(ParamsError) as caught:
        param_changes.applied(CONTENT, param_changes.changes(list(FIELDS.values()), {key: entered}))
    assert "\n" not in str(caught.value)
    assert all(fact in str(caught.value) for fact in facts), caught.value


def given_by(field: ParamField) -> st.SearchStrategy[Entered]:
    """What the widget of a field can give."""
    lowest, highest = field.minimum, field.maximum
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "flag": st.booleans(),
        "choice": st.sampled_from(field.choices or ("",)),
        "choices": st.lists(st.sampled_from(field.choices or ("",)), unique=True),
        "texts": st.lists(st.text(max_size=8), unique=True, max_size=3),
        "day": st.dates(param_widgets.FIRST_DAY, param_widgets.LAST_DAY),
        "integer": st.integers(
            -(2**53) + 1 if lowest is None else int(lowest) + field.open_minimum,
            2**53 - 1 if highest is None else int(highest) - field.open_maximum,
        ),
        "number": st.floats(lowest, highest, allow_nan=False, allow_infinity=False),
        "list": st.text(max_size=12) | st.lists(st.integers(-2, 300)).map(lambda x: str(x)[1:-1]),
    }
    if param_changes.as_text(field):
        return st.text(max_size=12) | st.dates().map(str)
    return kinds[field.kind]


@settings(max_examples=25)
@given(st.data())
def test_whatever_a_widget_gives_is_valid_or_one_line(data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(list(FIELDS.values())))
    entered = data.draw(given_by(field))
    refused, after, changes = "", None, {}
    try:
        changes = param_changes.changes([field], {field.key: entered})
        after = param_changes.applied(CONTENT, changes)
    except ParamsError as error:
        refused = str(error)
    assert (after is None) == bool(refused)
    assert "\n" not in refused
    if after is not None:
        written = flat(after.model_dump(by_alias=True, mode="json"))
        assert all(written[key] == new for key, new in changes.items())


@pytest.mark.parametrize(("value", "moves"), [(10.0, 10.0), (0.33, 0.1), (0.03, 0.01), (0.0, 0.1)])
def test_a_click_moves_the_first_digit(value: float, moves: float) -> None:
    assert param_widgets.step(value) == pytest.approx(moves)


def test_dvc_takes_every_change_over_as_it_is(tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    changes = {
        "models.ridge.alpha": 1e-06,
        "features.sma": [5, 20],
        "features.macd": [[5, 10, 3], [12, 26, 9]],
        "features.calendar": [],
        "data.as_of": "2012-06-29",
        "data.start": "2001-01-02",
        "data.symbols": ["AAPL"],
        "data.path": "data/my inbox",
        "dataset.features": ["vol_*", "*_return_lag*", "return_lag*"],
        "train.refit": False,
    }
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    words = run_commands.experiment("all", changes).words
    overrides = [word.partition("=")[2] for word in words if word.startswith("--set-param=")]
    apply_overrides(str(path), overrides)
    assert params.load(path) == param_changes.applied(CONTENT, changes)
    assert params.load(path) != params.parse(CONTENT)
