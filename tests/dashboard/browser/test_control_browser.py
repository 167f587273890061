"""Runs on Pipeline Control in a real browser: real processes, of a pipeline that takes seconds."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from stages.common.paths import RUNS
from tests.dashboard.dashboards import LONG, Dashboard, opened
from tests.projects import ROOT, Project
from tests.versions.runs.tiny_pipeline import order, tiny
from versions.runs import run_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    pipeline = tiny(tmp_path_factory.mktemp("controlled") / "project")
    shutil.copytree(ROOT / ".streamlit", pipeline.folder / ".streamlit")
    return pipeline


@pytest.fixture(scope="module")
def dashboard(project: Project) -> Iterator[Dashboard]:
    with Dashboard(project.folder, project.folder.parent / "log", USER="ada") as running:
        yield running


def control(context: BrowserContext, dashboard: Dashboard, part: str = "Run") -> Page:
    return opened(context.new_page(), f"{dashboard.url}/pipeline-control?part={part}")


def reproduce(page: Page) -> None:
    page.get_by_role("button", name="Reproduce", exact=True).click()
    expect(page.get_by_text("ada runs it since")).to_be_visible(timeout=LONG)


def test_a_run_goes_on_without_the_browser_and_a_new_one_finds_it(
    project: Project, dashboard: Dashboard, browser: Browser, visitor: BrowserContext
) -> None:
    order(project, "second", seconds=20)
    first = browser.new_context()
    reproduce(control(first, dashboard))
    first.close()
    page = control(visitor, dashboard)
    expect(page.get_by_text("ada runs it since")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("second runs for")).to_be_visible(timeout=LONG)
    expect(page.get_by_text("second begins")).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Reproduce", exact=True)).to_be_disabled()
    expect(page.get_by_text("Reproduce the pipeline, succeeded")).to_be_visible(timeout=LONG)
    page = control(visitor, dashboard, "Recent+runs")
    expect(page.get_by_text("succeeded after")).to_be_visible(timeout=LONG)
    (run,) = run_record.listed(project.folder / RUNS)
    assert [stage.name for stage in run.stages] == ["first", "second"]


def test_a_stage_that_fails_shows_its_line(
    project: Project, dashboard: Dashboard, visitor: BrowserContext
) -> None:
    order(project, "second", error="bars of <AAPL>: 3 rows are wrong; mend them")
    page = control(visitor, dashboard)
    page.get_by_role("button", name="Reproduce", exact=True).click()
    alert = page.get_by_test_id("stAlertContentError")
    expect(alert).to_contain_text("bars of <AAPL>: 3 rows are wrong; mend them", timeout=LONG)


def test_a_run_is_stopped_after_a_confirmation(
    project: Project, dashboard: Dashboard, visitor: BrowserContext
) -> None:
    order(project, "second", seconds=600)
    page = control(visitor, dashboard)
    reproduce(page)
    expect(page.get_by_text("second runs for")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Stop", exact=True).click()
    # Each second the page looks anew, which must not close the question.
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop this run").click()
    expect(page.get_by_text("Reproduce the pipeline, stopped")).to_be_visible(timeout=LONG)
