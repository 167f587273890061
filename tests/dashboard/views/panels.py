"""Pages and their parts as Streamlit runs them, in this process and without a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import httpx
from fastapi.testclient import TestClient
from streamlit.testing.v1 import AppTest

from dashboard.page_context import Context
from dashboard.server_client import Server
from dashboard.sign_in import Viewer
from monitor.settings import Settings

UTC_ZONE = ZoneInfo("UTC")


def context(folder: Path, *, may_act: bool = True) -> Context:
    """Somebody who looks at a project whose server does not run."""
    return Context(
        Viewer("ada", "", may_act),
        Server("http://127.0.0.1:9", "", httpx.Client()),
        Settings(var=folder / "var", database_url=f"sqlite:///{folder}/var/predictions.sqlite"),
        UTC_ZONE,
        UTC_ZONE,
    )


def asking(app: TestClient) -> Server:
    """A server in this process, as a page asks it."""
    # It answers as the client of httpx does, from which it no longer descends.
    return Server(str(app.base_url), "", cast("httpx.Client", app))


def texts(page: AppTest) -> str:
    """All that can be read on a page, but tables and charts; it has no exception."""
    assert not page.exception
    kinds = (page.title, page.subheader, page.text, page.markdown, page.caption, page.code)
    notes = (page.warning, page.error)
    return "\n".join(str(each.value) for kind in (*kinds, *notes) for each in kind)


def panel(show: Callable[[Context], None], who: Context, **query: str) -> AppTest:
    """A panel, or a page, that has run once with this query in its address."""
    page = AppTest.from_function(_script, default_timeout=60, args=(show, who))
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


# Its source alone is run, so it has no annotations.
def _script(show, who):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    from dashboard.page_context import guarded

    guarded(show, who)
