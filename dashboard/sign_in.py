"""The viewer: the holder of a key, or anyone at this machine where no keys are needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import streamlit as st
from streamlit import config

import serve.server_settings
from monitor.settings import who
from serve.edge.keyring import Keyring, is_local
from stages.common.errors import StageError

_STATE = "key"

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")
"""A proxy sends these: its caller may be anywhere."""


class SignInError(StageError):
    """The key of a viewer was removed, or does not allow what they want."""


@dataclass(frozen=True)
class Viewer:
    """Who views a page.

    Attributes:
        name: of the key, or of the account that runs the dashboard.
        key: what is sent to the server; empty where none is needed.
        may_act: whether Pipeline Control is open.
    """

    name: str
    key: str = field(repr=False)
    may_act: bool


@st.cache_resource
def keyring() -> Keyring:
    """The keys of the server; the file is read again when it changes."""
    settings = serve.server_settings.load()
    return Keyring(settings.keys, settings.keys_file)


def required(keys: Keyring, host: str, headers: Mapping[str, str]) -> bool:
    """Whether a viewer needs a key: other machines always do.

    Args:
        keys: of the server.
        host: the address that the dashboard listens on.
        headers: of the viewer's request.
    """
    return keys.required or not is_local(host) or _from_elsewhere(headers)


def _from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a request reached this machine through a proxy, or by a name that is not its own."""
    if any(name in headers for name in _FORWARDED):
        return True
    try:
        name = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return True
    # The name of a page of another site may point to this machine (DNS rebinding).
    return name is not None and not is_local(name)


def holder(keys: Keyring, secret: str) -> Viewer | None:
    """The viewer of a key; None if nobody has it, or if it may not read forecasts."""
    key = keys.find(secret.encode())
    if key is None or not key.allows("predict"):
        return None
    return Viewer(key.name, secret, key.allows("admin"))


def check(viewer: Viewer, *, acts: bool = False) -> None:
    """Refuse a viewer whose key was removed, or lost its role, after the page was drawn.

    A fragment runs again without the page around it, and with the viewer of that time.

    Args:
        viewer: as the page was given.
        acts: whether to ask for the role `admin`.

    Raises:
        SignInError: they may not go on.
        KeysError: the keys cannot be read.
    """
    now: Viewer | None = viewer
    if viewer.key:
        keys = keyring()
        keys.refresh()
        now = holder(keys, viewer.key)
    if now is None:
        raise SignInError(f"the key {viewer.name} was removed; reload the page to sign in")
    if acts and not now.may_act:
        raise SignInError(
            f"{viewer.name} may not act; that needs a key with the role admin: "
            "python -m serve keys add NAME --role admin"
        )


def viewer() -> Viewer | None:
    """The viewer of this page; None where a key is needed that was not given yet.

    Raises:
        KeysError: the keys cannot be read.
    """
    keys = keyring()
    keys.refresh()
    if not required(keys, str(config.get_option("server.address")), st.context.headers):
        return Viewer(who(), "", may_act=True)
    known = holder(keys, st.session_state.get(_STATE, ""))
    if known is not None and st.sidebar.button("Sign out", icon=":material/logout:"):
        del st.session_state[_STATE]
        st.rerun()
    return known


def ask() -> None:
    """Show the form that asks for a key."""
    st.title("Sign in")
    st.text("The dashboard needs a key of the server with the role predict.")
    with st.form("sign-in", border=False):
        secret = st.text_input("API key", type="password", autocomplete="current-password")
        if st.form_submit_button("Sign in", type="primary"):
            if holder(keyring(), secret.strip()) is not None:
                st.session_state[_STATE] = secret.strip()
                st.rerun()
            st.error("This key is not known, or may not read forecasts.")
    st.caption("`python -m serve keys add NAME --role predict` makes one; `--role admin` may act.")
