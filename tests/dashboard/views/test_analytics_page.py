"""The page in every state in which a person may find it, without a browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.dashboard.evaluated import add_experiments, evaluated
from tests.dashboard.views.panels import texts
from tests.histories import Repository

Page = Callable[..., AppTest]


def script() -> None:
    """What Streamlit runs: the page alone, which asks nothing of its context."""
    from typing import Any, cast

    from dashboard.views import analytics_view

    analytics_view.show(cast("Any", None))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = evaluated(tmp_path_factory.mktemp("analytics") / "project")
    add_experiments(repository, 3)
    return repository.folder


@pytest.fixture
def repository(original: Path, tmp_path: Path) -> Repository:
    shutil.copytree(original, tmp_path / "project")
    return Repository(tmp_path / "project")


@pytest.fixture
def page(repository: Repository) -> Iterator[Page]:
    """Open the page with some query parameters."""
    (repository.folder / ".dvc").mkdir()
    (repository.folder / ".dvc" / "config").touch()
    before = Path.cwd()
    os.chdir(repository.folder)
    st.cache_data.clear()

    def opened(**query: str) -> AppTest:
        app = AppTest.from_function(script, default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    yield opened
    os.chdir(before)


def titles(app: AppTest) -> list[str]:
    return [each.value for each in app.subheader]


def test_candidates_of_the_horizon_in_the_address(page: Page) -> None:
    app = page(horizon="long")
    assert "served forecast is the historical mean" in texts(app)
    assert "OOS R2 on the hold\\-out, by model" in titles(app)
    (table,) = app.dataframe
    assert table.value["model"].to_list()[0] == "stack"
    assert app.segmented_control(key="horizon").value == "long"
    app.selectbox(key="metric").set_value("mae").run()
    assert "Lower is better" in texts(app)
    # A rank across symbols needs more than one.
    app.selectbox(key="symbol").set_value("IBM")
    app.selectbox(key="metric").set_value("rank_ic").run()
    assert "rank IC is not defined" in texts(app)


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        ("Distribution", "How often it rose, by the probability that was given"),
        ("Features", "No feature moves the forecasts: the historical mean is served."),
        ("Trading", "needs 20 symbols or more"),
    ],
)
def test_each_part_says_what_it_shows_or_why_not(page: Page, view: str, sentence: str) -> None:
    assert sentence in texts(page(view=view))


def test_a_link_reproduces_a_comparison(page: Page) -> None:
    app = page(a="main", b="trial-0002", horizon="short")
    assert app.selectbox(key="a").value == "main"
    assert app.selectbox(key="b").value == "trial-0002"
    params, scores = (each.value for each in app.dataframe)
    assert params.to_dict("records") == [{"param": "models.ridge.alpha", "a": "10.0", "b": "2.5"}]
    assert scores["score"][0] == "fold R2"
    assert scores["b"][0] == "+0.0000"
    assert "never by the hold-out" in texts(app)
    # The forecasts themselves are in the cache of DVC, which a fresh clone lacks.
    assert "Not known" in texts(app)
    assert "is not in the cache here" in texts(app)


def test_any_hash_can_be_compared_and_an_unknown_one_is_refused(
    page: Page, repository: Repository
) -> None:
    head = repository.git("rev-parse", "HEAD")
    app = page(a=head[:8], b="workspace")
    assert "No param differs" in texts(app)
    app = page(a="nowhere", b="workspace")
    assert "git knows no revision 'nowhere'" in texts(app)


def test_a_revision_without_metrics_is_named(page: Page, repository: Repository) -> None:
    repository.git("tag", "full")
    shutil.rmtree(repository.folder / "metrics")
    repository.commit(None, "Without metrics")
    app = page(a="full", b="main")
    assert "main has no metrics of short" in texts(app)
    assert not app.dataframe
    # The working tree has none either.
    assert "dvc repro" in texts(page())
    repository.git("tag", "x;$(ls)")
    app = page(a="full", b="x;$(ls)")
    assert "git checkout 'x;$(ls)' && dvc repro" in texts(app)


def test_experiments_are_filtered_by_the_address(page: Page) -> None:
    app = page(view="Experiments")
    assert "3 of 3 experiments" in texts(app).replace("\\", "")
    app = page(view="Experiments", filter="trial-0001")
    (table,) = app.dataframe
    assert table.value["experiment"].to_list() == ["trial-0001"]
    assert table.value["models.ridge.alpha"].to_list() == [1.5]
    assert "No experiment has all of these words" in texts(page(view="Experiments", filter="gone"))


def test_ticks_are_of_the_rows_that_are_shown(page: Page) -> None:
    def table(words: str) -> str:
        app.text_input(key="filter").set_value(words).run()
        return str(app.dataframe[0].proto.id)

    app = page(view="Experiments")
    # Streamlit keeps ticks by the id of the table and the place of a row.
    assert table("trial-0001") != table("trial")
    assert table("trial") == table("TRIAL")


def test_without_experiments_one_is_proposed(page: Page, repository: Repository) -> None:
    for ref in repository.git("for-each-ref", "--format=%(refname)", "refs/exps").split():
        repository.git("update-ref", "-d", ref)
    assert "dvc exp run" in texts(page(view="Experiments"))


@pytest.mark.parametrize("view", ["Compare", "Experiments"])
def test_without_git_the_results_at_hand_are_shown(
    page: Page, repository: Repository, view: str
) -> None:
    shutil.rmtree(repository.folder / ".git")
    assert "not a git repository" in texts(page(view=view))
    assert "served forecast" in texts(page())


def test_before_the_first_run(page: Page, repository: Repository) -> None:
    shutil.rmtree(repository.folder / "metrics")
    for view in ("Candidates", "Distribution", "Features", "Trading"):
        assert "the pipeline has not run" in texts(page(view=view))
    (repository.folder / "params.yaml").unlink()
    assert "names no horizon" in texts(page())


def test_one_horizon(page: Page, repository: Repository) -> None:
    path = repository.folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("  long: 63\n", ""), encoding="utf-8")
    # A link of a horizon that is gone shows the one that there is.
    assert "served forecast" in texts(page(horizon="long"))
