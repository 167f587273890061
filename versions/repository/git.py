"""Commands of git, and the files of its revisions."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stages.common.errors import VersionError

_AT_A_TIME = 256
"""Files that are read by one process, so that a long history does not fill the memory."""


def git(
    *arguments: str,
    folder: Path | None = None,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> str:
    """What a git command prints, without the last line end.

    Args:
        folder: where to run it; the working folder by default.
        environment: variables beside those of this process.

    Raises:
        VersionError: git is missing or failed; the message is the first line of its error.
    """
    answer = _run(arguments, folder, stdin.encode(), environment)
    return answer.decode("utf-8").removesuffix("\n")


def content(revision: str, path: Path | str, folder: Path | None = None) -> bytes | None:
    """The bytes of a file at a revision; None where the revision has no such file.

    Raises:
        VersionError: there is no such revision.
    """
    return contents([f"{commit(revision, folder)}:{path}"], folder)[0]


def commit(revision: str = "HEAD", folder: Path | None = None) -> str:
    """The full hash of the commit that a revision names.

    Raises:
        VersionError: there is no such revision.
    """
    try:
        return git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", folder=folder)
    except VersionError:
        raise VersionError(
            f"git knows no revision {revision!r}; `git fetch --tags` brings those of others"
        ) from None


def changes(folder: Path | None = None) -> list[str]:
    """Paths that are tracked and differ from HEAD, or are neither tracked nor ignored."""
    listed = _run(("status", "--porcelain=v1", "-z", "--no-renames"), folder).decode("utf-8")
    return [entry[3:] for entry in listed.split("\0") if entry]


def identify(names: Sequence[str], folder: Path | None = None) -> list[str | None]:
    """The hash of each object by its name, such as `v1:dvc.lock`; None where there is none.

    One process of git answers for all names.
    """
    command = ("cat-file", "--batch-check=%(objectname)")
    lines = _run(command, folder, "".join(f"{name}\n" for name in names).encode()).splitlines()
    return [None if line.endswith(b" missing") else line.decode() for line in lines]


def contents(names: Sequence[str], folder: Path | None = None) -> list[bytes | None]:
    """The bytes of each file by its name, such as `v1:dvc.lock`; None where there is none."""
    hashes = identify(names, folder) if names else []
    files = dict(blobs(list(dict.fromkeys(filter(None, hashes))), folder))
    return [None if file is None else files[file] for file in hashes]


def blobs(hashes: Sequence[str], folder: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Files by their hashes, each with its bytes; one process of git answers for many."""
    for start in range(0, len(hashes), _AT_A_TIME):
        some = hashes[start : start + _AT_A_TIME]
        stdin = "".join(f"{name}\n" for name in some).encode()
        answer = _run(("cat-file", "--batch=%(objectsize)"), folder, stdin)
        at = 0
        for name in some:
            begin = answer.index(b"\n", at) + 1
            size = int(answer[at:begin])
            yield name, answer[begin : begin + size]
            at = begin + size + 1


def _run(
    arguments: tuple[str, ...],
    folder: Path | None,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  # no shell
            ["git", *arguments],  # noqa: S607  # found by PATH, as users have it
            cwd=folder,
            input=stdin,
            env=None if environment is None else {**os.environ, **environment},
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise VersionError("git is not on PATH; install it") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise VersionError(f"git {arguments[0]}: {lines[0] if lines else 'failed'}")
    return done.stdout
