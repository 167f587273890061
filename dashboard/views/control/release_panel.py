"""The panel of versions: what there is, and what a release, a promotion or a roll back changes."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import sign_in
from dashboard.control import release_preview, run_commands, run_process
from dashboard.control.release_preview import Preview
from dashboard.control.run_commands import Command
from dashboard.empty_state import empty
from dashboard.error_line import error_line
from dashboard.page_context import Context, guarded
from dashboard.plain_text import plain
from dashboard.server_client import RefusedError, ServerAwayError
from dashboard.views.control.start_command import start
from stages.common import sections
from stages.common.errors import StageError, few
from stages.common.sections import Horizons, Sections
from versions.registry import registration
from versions.registry.registration import Bump, Row
from versions.repository import git

PRODUCTION = "production"


class _Horizons(Sections):
    horizons: Horizons


def show(context: Context) -> None:
    """Show the panel.

    Raises:
        StageError: the folder is not a git repository, or params.yaml is wrong.
    """
    refs = git.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/tags")
    rows = _rows(refs)
    horizons = list(dict.fromkeys([*sections.load(_Horizons).horizons, *(r.horizon for r in rows)]))
    if rows:
        st.dataframe(
            release_preview.versions_table(rows),
            hide_index=True,
            alt="Every version, with its stages and scores",
        )
        st.text(
            "Scores are of the hold-out; fold OOS R2, by which models are chosen, is of the folds."
        )
    else:
        empty(
            "No version is registered.",
            "Register the checked-out revision below, or fetch the tags of others.",
            "git fetch --tags",
        )
    changed = git.changes()
    if changed:
        st.warning(
            plain(
                f"The tree is not clean: {few(changed)}. Commit, or git stash "
                "--include-untracked: a tag names a commit."
            ),
            icon=":material/warning:",
        )
    running = run_process.current()
    if running is not None:
        st.text(f"{running.title} runs; the buttons wait for its end.")
    if not context.viewer.may_act:
        st.text("To release, promote or roll back needs a key with the role admin.")
    _actions(context, rows, horizons, able=context.viewer.may_act and running is None)


@st.cache_data(max_entries=2, show_spinner="Reading the tags")
def _rows(refs: str) -> list[Row]:
    """The versions; they depend only on the tags, which `refs` lists."""
    return registration.versions() if refs else []


def _actions(context: Context, rows: Sequence[Row], horizons: Sequence[str], *, able: bool) -> None:
    horizon = st.selectbox("Horizon", horizons, key="release-horizon")
    if horizon is None:
        return
    known = [row.version for row in rows if row.horizon == horizon]
    left, middle, right = st.columns(3)
    with left.container(border=True, height="stretch"):
        st.subheader("Register", anchor=False)
        st.text("Makes the checked-out revision a version.")
        bump: Bump = st.selectbox("Next version", ("minor", "patch", "major"), key="release-bump")
        if st.button("Register …", disabled=not able, key="register"):
            _ask(context, rows, lambda: run_commands.register(horizon, bump))
    with middle.container(border=True, height="stretch"):
        st.subheader("Promote", anchor=False)
        st.text("Puts a version into a stage.")
        version = st.selectbox("Version", known, key="release-version")
        stage = st.text_input("Stage", PRODUCTION, max_chars=60, key="release-stage")
        if st.button("Promote …", disabled=not (able and known), key="promote"):
            _ask(context, rows, lambda: run_commands.promote(horizon, str(version), stage.strip()))
    with right.container(border=True, height="stretch"):
        st.subheader("Roll back", anchor=False)
        st.text(
            "By tags: the version before is in production again. By the monitor: its last "
            "promotion is undone, and the server follows."
        )
        if st.button("Roll back by tags …", disabled=not (able and known), key="rollback"):
            _ask(context, rows, lambda: run_commands.rollback(horizon))
        if st.button("Bring the former champion back …", disabled=not able, key="champion"):
            _ask(context, rows, lambda: run_commands.champion_rollback(context.viewer.name))


def _ask(context: Context, rows: Sequence[Row], command: Callable[[], Command]) -> None:
    try:
        sign_in.check(context.viewer, acts=True)
        _confirm(context, rows, command())
    except StageError as error:
        error_line(error)


@st.dialog("What this will change", width="large")
def _confirm(context: Context, rows: Sequence[Row], command: Command) -> None:
    # A dialog runs again without the page around it.
    guarded(lambda _: _changes(context, rows, command), context)


def _changes(context: Context, rows: Sequence[Row], command: Command) -> None:
    st.text(f"{command.title}: python -m {shlex.join(command.words)}")
    preview = _preview(command, context)
    plan = preview.plan
    if plan is None:
        error_line(preview.problem)
        return
    if "promotion" in plan:
        _champion(plan)
    else:
        _tags(context, rows, plan)
    sure = st.checkbox("Yes, do this", key=f"sure {' '.join(command.words)}")
    if st.button(command.title, type="primary", disabled=not sure, key="confirm"):
        start(context, command)


@st.cache_data(ttl="30s", max_entries=16, show_spinner="Asking the command what it would do")
def _preview(command: Command, _context: Context) -> Preview:
    return release_preview.ask(command, _context.viewer.name, _context.monitor)


def _champion(plan: Mapping[str, Any]) -> None:
    """What the monitor's roll back brings back."""
    st.text(
        f"Undoes the promotion {plan['promotion']}. The models, params and metrics of "
        f"{plan['commit'][:7]} come back in a new commit, with the newest bars; the server follows."
    )
    st.dataframe(
        release_preview.champion_comparison(plan),
        hide_index=True,
        alt="Models that are served now, and those that come back",
    )


def _tags(context: Context, rows: Sequence[Row], plan: Mapping[str, Any]) -> None:
    """What a command of `versions.release` changes."""
    st.dataframe(
        release_preview.comparison(plan, rows),
        hide_index=True,
        alt="The version that is replaced, and the one that comes",
    )
    horizon = plan["horizon"]
    served = _served(context, horizon)
    md5 = release_preview.graph_md5(plan["commit"], horizon)
    for line in release_preview.consequences(plan, served, md5):
        st.text(line)
    if plan["stage"] is not None and served != md5:
        st.code(f"git checkout '{horizon}@{plan['version']}'", language="sh")
    st.text("To share the tag afterwards:")
    st.code(f"git push {_remote()} '{plan['tag']}'", language="sh")


def _served(context: Context, horizon: str) -> str | None:
    """The md5 of the graph that the server has; None if it does not answer."""
    try:
        models = context.server.version()["models"]
    except (ServerAwayError, RefusedError):
        return None
    md5: str | None = models.get(horizon, {}).get("md5")
    return md5


def _remote() -> str:
    names = git.git("remote").split()
    return "origin" if "origin" in names or not names else names[0]
