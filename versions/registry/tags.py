"""Releases and promotions, as GTO keeps them: annotated tags of git.

`short@v1.0.0` registers the commit as a version of the artifact `short`; `short#production#3` puts
the version of its commit into a stage, and the newest by time counts. Names are read by GTO's own
grammar, so `gto show` and `dvc artifacts get` see the same. The tags are written by git itself:
that is atomic, signs where the user's settings say so, and can set the time, which matters because
GTO and DVC tell assignments of one second apart by nothing.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from stages.common.errors import VersionError
from versions.repository import git

_FIELDS = (
    *("refname:strip=2", "objecttype", "*objecttype", "*objectname"),
    *("taggerdate:unix", "taggername", "contents"),
)


@dataclass(frozen=True)
class Tag:
    """One entry of the record.

    Attributes:
        name: of the tag.
        artifact: what it speaks of, which is a horizon here.
        version: that it registers, such as `v1.0.0`.
        stage: that it assigns, such as `production`; a tag has either a version or a stage.
        cancels: whether it takes back (`short@v1.0.0!`, `short#production!#4`).
        counter: of assignments of the artifact.
        commit: the full hash.
        when: by the clock of the tagger, to the second.
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
    """Every tag of GTO's that points to a commit, oldest first.

    Raises:
        VersionError: the folder is not in a git repository.
    """
    form = "".join(f"%({field})%00" for field in _FIELDS)
    cells = git.git("for-each-ref", "refs/tags", f"--format={form}", folder=folder).split("\0")
    width = len(_FIELDS)
    rows = (cells[start : start + width] for start in range(0, len(cells) - 1, width))
    # The line end after each entry opens the next one.
    found = [_tag(row[0].removeprefix("\n"), row) for row in rows if row[1:3] == ["tag", "commit"]]
    return sorted((tag for tag in found if tag), key=lambda tag: (tag.when, tag.counter))


def _tag(name: str, row: list[str]) -> Tag | None:
    from gto.constants import Action
    from gto.tag import parse_name

    parts: dict[str, object] = parse_name(name, raise_on_fail=False)
    version, stage = parts.get("version"), parts.get("stage")
    if version is None and stage is None:
        return None
    return Tag(
        name=name,
        artifact=str(parts["name"]),
        version=None if version is None else str(version),
        stage=None if stage is None else str(stage),
        cancels=parts["action"] in {Action.UNASSIGN, Action.DEREGISTER},
        counter=int(str(parts.get("counter", 0))),
        commit=row[3],
        when=datetime.fromtimestamp(int(row[4]), UTC),
        who=row[5],
        message=row[6].strip(),
    )


def is_name(text: str) -> bool:
    """Whether GTO takes a text as the name of an artifact or a stage."""
    from gto.constants import name_re

    return name_re.fullmatch(text) is not None


def write(name: str, commit: str, message: str, folder: Path | None = None) -> None:
    """Make a tag, newer by its time than every other of its artifact.

    Where the clock of another machine ran ahead, or where the newest tag is of this second, the
    tag is dated one second after the newest: what was done last must count.

    Raises:
        VersionError: there is such a tag, or git knows no name and e-mail address of the user.
    """
    artifact = _artifact(name)
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
                f"{name} was made meanwhile by someone else here; look at `make versions`"
            ) from None
        if "identity" in str(error):
            raise VersionError(
                "git does not know who you are, and a release names who made it; "
                "`git config user.name` and `git config user.email` say so"
            ) from None
        raise


def _artifact(name: str) -> str:
    return name.replace("#", "@").partition("@")[0]
