"""The table of experiments."""

from typing import Any

from dashboard.results import experiment_frame
from versions.results.experiment_refs import Experiment
from versions.results.known_revisions import Revision


def experiment(name: str, skill: float | None, **params: Any) -> Experiment:
    revision = Revision(name, "experiment", "c" * 40, "2024-01-01T12:00:00+00:00", "", "b" * 40)
    return Experiment(revision, {"short": {"fold_oos_r2": skill, "mae": 0.01}}, params)


EXPERIMENTS = [
    experiment("weak", 0.001, **{"models.ridge.alpha": 1, "features.sma": [7, 21], "seed": 0}),
    experiment(
        "strong", 0.002, **{"models.ridge.alpha": 100.0, "features.sma": [5, 20], "seed": 0}
    ),
    experiment("broken", None, **{"models.ridge.alpha": 2, "features.sma": [7, 21], "seed": 0}),
]


def test_the_best_on_folds_is_first_and_only_params_that_differ_are_columns() -> None:
    table = experiment_frame.frame(EXPERIMENTS)
    assert table.columns == [
        "experiment",
        "short fold_oos_r2",
        "short mae",
        "models.ridge.alpha",
        "features.sma",
        "began from",
        "date",
    ]
    assert table["experiment"].to_list() == ["strong", "weak", "broken"]
    # Numbers sort as numbers, lists are text.
    assert table["models.ridge.alpha"].to_list() == [100.0, 1.0, 2.0]
    assert table["features.sma"].to_list() == ["[5,20]", "[7,21]", "[7,21]"]
    assert table["began from"].to_list() == ["b" * 10] * 3


def test_every_word_of_the_filter_must_occur() -> None:
    table = experiment_frame.frame(EXPERIMENTS)
    assert experiment_frame.filtered(table, "")["experiment"].len() == 3
    assert experiment_frame.filtered(table, "[7,21]")["experiment"].to_list() == ["weak", "broken"]
    assert experiment_frame.filtered(table, "[7,21] WEAK")["experiment"].to_list() == ["weak"]
    # Letters, never a pattern.
    assert experiment_frame.filtered(table, ".*").is_empty()


def test_without_experiments_the_table_is_empty() -> None:
    assert experiment_frame.frame([]).is_empty()


def test_at_first_the_scores_of_one_horizon_are_shown() -> None:
    table = experiment_frame.frame(EXPERIMENTS)
    assert experiment_frame.shown_at_first(table, "short") == table.columns
    assert experiment_frame.shown_at_first(table, "long") == [
        "experiment",
        "models.ridge.alpha",
        "features.sma",
        "began from",
        "date",
    ]
