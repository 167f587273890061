"""Releases and promotions, kept by GTO as annotated tags of git.

`short@v1.0.0` registers the commit as a version of the artifact `short`; `short#production#3` puts
the version of its commit into a stage, and the newest by time counts. GTO reads the tags; git
writes them, because only git can sign them and set their time: GTO and DVC put two assignments of
one second in the order of the alphabet, and GTO refuses to go back to a version without `--force`.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stages.common.errors import VersionError
from versions.repository import git


@dataclass(frozen=True)
class Tag:
    """One entry of the record.

    Attributes:
        artifact: the artifact, which is a horizon here.
        version: the version that the tag registers, such as `v1.0.0`.
        stage: the stage that it assigns, such as `production`; None if it registers a version.
        cancels: whether it takes back (`short@v1.0.0!`, `short#production!#4`).
        counter: the number of the assignment among those of the artifact, from 1; else 0.
        commit: the full hash.
        when: the time by the clock of the tagger, to the second.
        who: the tagger's name.
        message: the annotation.
    """

    name: str
    artifact: str
    version: str | None
    stage: str | None
    cancels: bool
    counter: int
    commit: str
    when: datetime
    who: str
    message: str


def read(folder: Path | None = None) -> list[Tag]:
    """Every registration and assignment, oldest first.

    Raises:
        VersionError: the folder is not in a git repository.
    """
    import gto.api

    root = git.git("rev-parse", "--show-toplevel", folder=folder)
    record = []
    for event in gto.api.history(root, ascending=True):
        kind = event["event"].removeprefix("un").removeprefix("de")
        if kind in {"registration", "assignment"}:
            assigns = kind == "assignment"
            tag = Tag(
                name=event["ref"],
                artifact=event["artifact"],
                version=None if assigns else event["version"],
                stage=event["stage"],
                cancels=kind != event["event"],
                counter=int(event["ref"].rpartition("#")[2]) if assigns else 0,
                commit=event["commit"],
                when=event["timestamp"],
                who=event["author"],
                message=event["message"],
            )
            record.append(tag)
    return sorted(record, key=lambda tag: (tag.when, tag.counter))


def is_name(text: str) -> bool:
    """Whether GTO takes a text as the name of an artifact or a stage."""
    from gto.constants import name_re

    return name_re.fullmatch(text) is not None


def write(name: str, commit: str, message: str, folder: Path | None = None) -> None:
    """Make a tag with a later time than every other tag of its artifact.

    Where the newest tag is of this second, or of a machine whose clock is ahead, the new one is
    dated one second after it.

    Raises:
        VersionError: the tag exists, or git knows no name and e-mail address of the user.
    """
    artifact = name.replace("#", "@").partition("@")[0]
    newest = max((tag.when for tag in read(folder) if tag.artifact == artifact), default=None)
    seconds = int(time.time())
    if newest is not None:
        seconds = max(seconds, int(newest.timestamp()) + 1)
    try:
        git.git(
            *("tag", "--annotate", "--cleanup=whitespace", "--message", message, name),
            git.commit(commit, folder),
            folder=folder,
            environment={"GIT_COMMITTER_DATE": f"@{seconds} +0000"},
        )
    except VersionError as error:
        if "already exists" in str(error):
            raise VersionError(
                f"{name} exists already, made by someone else meanwhile; look at `make versions`"
            ) from None
        if "identity" in str(error):
            raise VersionError(
                "git does not know who you are, and a release names who made it; set "
                "`git config user.name` and `git config user.email`"
            ) from None
        raise
