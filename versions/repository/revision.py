"""One revision as DVC reads it, and whether its lock matches its code and params.

Everything comes from git, so that it also works without the data.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from stages.common.errors import VersionError, few
from versions.repository import git
from versions.repository.lock import LOCK_FILE


@contextmanager
def opened(revision: str, folder: Path | None = None) -> Iterator[Any]:
    """DVC's own view of a revision, a `dvc.repo.Repo` whose files are those of the commit.

    Raises:
        VersionError: DVC cannot read the pipeline of that revision.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    commit = git.commit(revision, folder)
    try:
        with Repo(None if folder is None else str(folder)) as repo, repo.switch(commit):
            yield repo
    except DvcException as error:
        raise VersionError(f"{revision}: DVC cannot read its pipeline: {error}") from None


def check(revision: str, folder: Path | None = None) -> None:
    """Refuse a revision that `dvc repro` would change.

    `dvc repro --dry --allow-missing` cannot replace this: without the data, it reports folders as
    changed that hold only files of git (`models/candidates/short/.gitignore`).

    Raises:
        VersionError: naming the stages, and what of them does not match.
    """
    statuses: dict[tuple[str, str], bool] = {}
    reasons = []
    with opened(revision, folder) as repo:
        outs = {place(out): out for stage in repo.index.stages for out in stage.outs}
        for stage in repo.index.stages:
            if stage.changed_stage():
                changed = ["command"]
            else:
                deps = () if stage.frozen else stage.deps
                changed = [what for dep in deps for what in _dep(repo, dep, outs, statuses)]
                changed += [
                    place(out)
                    for out in stage.outs
                    if not out.hash_info or (not out.use_cache and out.status())
                ]
            name = str(stage.addressing).rpartition(":")[2]
            reasons += [f"{name} ({what})" for what in changed]
    if reasons:
        raise VersionError(
            f"{LOCK_FILE} of {revision} does not match: {few(reasons, 3)}; `dvc repro` and commit"
        )


def _dep(
    repo: Any, dep: Any, outs: Mapping[str, Any], statuses: dict[tuple[str, str], bool]
) -> Sequence[str]:
    """The parts of a dependency that differ from the lock."""
    from dvc.dependency.param import ParamsDependency

    if isinstance(dep, ParamsDependency):
        status = dep.status()
        # The value is a text, not keys, where the whole file is missing or new.
        parts = (keys if isinstance(keys, Mapping) else status for keys in status.values())
        return [key for keys in parts for key in keys]
    path = place(dep)
    output = outs.get(path)
    if output is not None:
        return () if output.hash_info == dep.hash_info else [path]
    if any(str(parent) in outs for parent in PurePosixPath(path).parents):
        return ()
    inside = [out for name, out in outs.items() if name.startswith(f"{path}/")]
    if inside:
        return () if _holds(repo, path, dep, inside) else [path]
    if not dep.is_in_repo:
        return ()
    key = (path, str(dep.hash_info))
    if key not in statuses:
        statuses[key] = bool(dep.status())
    return [path] if statuses[key] else ()


def _holds(repo: Any, path: str, dep: Any, outs: Sequence[Any]) -> bool:
    """Whether a folder has as many files and bytes as its outputs and its files in git together.

    Without the data its md5 is unknown.
    """
    root = repo.fs.join(repo.root_dir, *PurePosixPath(path).parts)
    here = [repo.fs.info(name)["size"] for name in repo.dvcignore.find(repo.fs, root)]
    size = sum(here) + sum(out.meta.size or 0 for out in outs)
    files = len(here) + sum(out.meta.nfiles or 1 for out in outs)
    return bool((size, files) == (dep.meta.size, dep.meta.nfiles))


def place(entry: Any) -> str:
    """The path of a dependency or an output, relative to the root of the project."""
    return str(PurePosixPath(*entry.fs.relparts(entry.fs_path, entry.repo.root_dir)))
