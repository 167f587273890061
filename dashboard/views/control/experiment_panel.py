"""The panel that starts an experiment: a field for each param, and what its change runs again."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import polars as pl
import streamlit as st

from dashboard import sign_in
from dashboard.control import (
    param_changes,
    param_fields,
    run_commands,
    touched_stages,
    yaml_comments,
)
from dashboard.control.param_fields import ParamField
from dashboard.control.run_commands import CommandError
from dashboard.error_line import error_line
from dashboard.page_context import Context
from dashboard.plain_text import plain
from dashboard.views.control import param_widgets
from dashboard.views.control.start_command import start
from stages import params
from stages.common import sections
from stages.common.errors import StageError
from stages.common.sections import PARAMS_FILE
from versions.repository import git, lock
from versions.values import compact

WIDGET = "param:"
"""What the name of a widget begins with, before the dotted key."""


def show(context: Context) -> None:
    """Show the panel.

    Raises:
        ParamsError: params.yaml is wrong.
    """
    content, every = _fields_of(PARAMS_FILE.read_bytes() if PARAMS_FILE.exists() else b"")
    st.text(
        "An experiment has only what you change here; params.yaml stays as it is. To add a model, "
        "a horizon or a key, edit params.yaml. Its sections monitor and search are not here: no "
        "stage obeys them."
    )
    _form(context, content, every)


@st.cache_data(max_entries=2, show_spinner=False)
def _fields_of(file: bytes) -> tuple[Mapping[str, Any], Sequence[ParamField]]:
    """The content of params.yaml, whose bytes are given, and its fields.

    Raises:
        ParamsError: it is wrong.
    """
    content = sections.read()
    params.parse(content)
    return content, param_fields.fields(content, yaml_comments.comments(file.decode()))


@st.fragment
def _form(context: Context, content: Mapping[str, Any], every: Sequence[ParamField]) -> None:
    wanted = st.text_input(
        "Search params", type="search", placeholder="alpha", key="param-search"
    ).strip()
    matching = [field for field in every if param_fields.matches(field, wanted)]
    if not matching:
        st.text(f"No param has {wanted!r} in its key or its comment.")
    for section, fields in groupby(matching, attrgetter("section")):
        # A closed section has no widgets: what was entered there stays with the session.
        part = st.expander(
            plain(section),
            key=f"section:{section}:{wanted}",
            expanded=bool(wanted),
            on_change="rerun",
        )
        if part.open:
            with part:
                _fields(list(fields))
    entered = {field.key: param_widgets.entered(WIDGET + field.key, field) for field in every}
    try:
        changed = param_changes.changes(every, entered)
        if changed:
            _changes(content, changed, every)
    except StageError as error:
        error_line(error)
        changed = {}
    _start(context, changed)


def _fields(fields: Sequence[ParamField]) -> None:
    """Several widgets in columns that stand below one another on a phone."""
    several = min(3, len(fields))
    for begin in range(0, len(fields), several):
        row = fields[begin : begin + several]
        for column, field in zip(st.columns(several), row, strict=False):
            with column:
                param_widgets.widget(field, WIDGET + field.key)


def _changes(
    content: Mapping[str, Any], changed: Mapping[str, Any], every: Sequence[ParamField]
) -> None:
    """What differs, and the stages that it runs again.

    Raises:
        StageError: the pipeline would refuse the params, or never ran.
    """
    former = {field.key: field.value for field in every}
    st.dataframe(
        pl.DataFrame(
            [
                {"param": key, "now": compact(former[key]), "experiment": compact(new)}
                for key, new in changed.items()
            ]
        ),
        hide_index=True,
        alt="Params that differ from params.yaml",
    )
    before, after = params.parse(content), param_changes.applied(content, changed)
    touched = touched_stages.touched(
        lock.read(), changed, features_change=before.feature_names != after.feature_names
    )
    st.text(f"Runs again: {', '.join(touched.direct)}")
    if touched.following:
        st.text(f"Then, where what they read has changed: {', '.join(touched.following)}")


def _start(context: Context, changed: Mapping[str, Any]) -> None:
    with st.form("experiment", border=False):
        name = st.text_input(
            "Name of the experiment",
            placeholder="wider-windows",
            max_chars=60,
            key="experiment-name",
        )
        allowed = context.viewer.may_act
        if not allowed:
            st.text("To start one needs a key with the role admin.")
        pressed = st.form_submit_button(
            "Start the experiment", type="primary", disabled=not (allowed and changed)
        )
    if not pressed or not changed:
        return
    try:
        sign_in.check(context.viewer, acts=True)
        command = run_commands.experiment(name.strip(), changed)
        _check_free(name.strip())
    except StageError as error:
        error_line(error)
        return
    start(context, command)


def _check_free(name: str) -> None:
    """Refuse the name of another experiment, of any commit: tables show only the name.

    Raises:
        CommandError: it is taken.
    """
    # By the two digits below refs/exps: what else is there is DVC's own.
    names = git.git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps/??/*/*")
    if name in names.splitlines():
        raise CommandError(f"{name}: there is an experiment of this name; choose another")
