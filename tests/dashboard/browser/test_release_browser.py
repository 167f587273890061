"""A roll back from Pipeline Control changes the version that Home shows in production."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.dashboard.dashboards import LONG, Dashboard, opened, settled
from tests.projects import Project

pytestmark = pytest.mark.slow


def release(project: Project, *arguments: str) -> None:
    project.run("python", "-m", "versions.release", *arguments)


def commit(project: Project, message: str) -> None:
    project.git(
        "commit", "--quiet", "--no-verify", "--all", "--allow-empty", f"--message={message}"
    )


def test_a_roll_back_from_the_page_changes_home(
    project: Project, dashboard: Dashboard, visitor: BrowserContext
) -> None:
    project.dvc("remote", "add", "--force", "--local", "--default", "folder", "var/remote")
    # The lock of the checkout may be older than its code.
    commit(project, "Reproduced")
    release(project, "register", "short")
    release(project, "promote", "short", "v1.0.0")
    commit(project, "Another revision")
    release(project, "register", "short")
    release(project, "promote", "short", "v1.1.0")
    home = opened(visitor.new_page(), dashboard.url)
    expect(home.get_by_text("short v1.1.0").first).to_be_visible(timeout=LONG)

    page = opened(visitor.new_page(), f"{dashboard.url}/pipeline-control?part=Releases")
    page.get_by_role("button", name="Roll back by tags").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Yes, do this").click(timeout=LONG)
    settled(page)
    dialog.get_by_role("button", name="Roll short back").click()
    expect(dialog).to_have_count(0, timeout=LONG)
    ended = page.get_by_text("The last run, Roll short back in production, succeeded")
    expect(ended).to_be_visible(timeout=LONG)
    assert "short#production#3" in project.git("tag").split()
    opened(home, dashboard.url)
    expect(home.get_by_text("short v1.0.0").first).to_be_visible(timeout=LONG)
