"""What every page needs: the viewer, the server, and the time zones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import streamlit as st

import monitor.settings
import serve.server_settings
from dashboard import dashboard_settings, sign_in
from dashboard.error_line import error_line
from dashboard.server_client import TIMEOUT, Server
from dashboard.sign_in import Viewer
from stages.common import sections
from stages.common.errors import StageError
from stages.common.sections import DataParams, Sections


class _Data(Sections):
    data: DataParams


@dataclass(frozen=True)
class Context:
    """What a page is given.

    Attributes:
        viewer: of the page.
        server: asked in the viewer's name.
        monitor: settings of the monitor, which name the prediction log and the folder of its files.
        exchange_zone: of the calendar in params.yaml; UTC where that cannot be known.
        viewer_zone: of the browser.
    """

    viewer: Viewer
    server: Server
    monitor: monitor.settings.Settings
    exchange_zone: ZoneInfo
    viewer_zone: ZoneInfo


def context(viewer: Viewer) -> Context:
    """The context of one run of a page.

    Raises:
        StageError: settings are wrong.
    """
    url = dashboard_settings.server_url(dashboard_settings.load(), serve.server_settings.load())
    return Context(
        viewer,
        Server(url, viewer.key, _client()),
        monitor.settings.load(),
        _exchange_zone(),
        _viewer_zone(),
    )


@st.cache_resource
def _client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT)


@st.cache_data(ttl="1h")
def _exchange_zone() -> ZoneInfo:
    from monitor import exchange_hours

    try:
        return ZoneInfo(str(exchange_hours.zone(sections.load(_Data).data.calendar)))
    except StageError:
        # The page of the pipeline says what is wrong with params.yaml.
        return ZoneInfo("UTC")


def _viewer_zone() -> ZoneInfo:
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError):
        return ZoneInfo("UTC")


def in_zones(moment: datetime, context: Context) -> str:
    """A moment as the exchange and the viewer read it: `2012-12-31 16:00 EST (21:00 UTC)`."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    there, here = (aware.astimezone(zone) for zone in (context.exchange_zone, context.viewer_zone))
    if there.utcoffset() == here.utcoffset():
        return f"{there:%Y-%m-%d %H:%M %Z}"
    day = "" if there.date() == here.date() else f"{here:%Y-%m-%d} "
    return f"{there:%Y-%m-%d %H:%M %Z} ({day}{here:%H:%M %Z})"


def guarded(show: Callable[[Context], None], context: Context) -> None:
    """Show a page, or a part of it; an error of the project is one line with its remedy.

    A part that runs again by itself stops showing when the viewer's key is removed.
    """
    try:
        sign_in.check(context.viewer)
        show(context)
    except StageError as error:
        error_line(error)
