"""One revision as DVC sees it: what it made, and whether its lock is that of its code and params.

All of it is read from git, so that it also works where no data is at hand.
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

    `dvc repro --dry --allow-missing` does not serve: without the data it takes folders that hold
    nothing but what git tracks (`models/candidates/short/.gitignore`) for changed.

    Raises:
        VersionError: naming the stages, and what of them does not match.
    """
    found = mismatches(revision, folder)
    if found:
        raise VersionError(
            f"{LOCK_FILE} of {revision} does not match: {few(found, 3)}; `dvc repro` and commit"
        )


def mismatches(revision: str, folder: Path | None = None) -> list[str]:
    """What `dvc repro` would find changed, each as stage, kind and name."""
    with opened(revision, folder) as repo:
        outs = {place(out): out for stage in repo.index.stages for out in stage.outs}
        seen: dict[tuple[str, str], bool] = {}
        found = []
        for stage in repo.index.stages:
            if stage.changed_stage():
                found.append(f"{_name(stage)} (command)")
                continue
            for dep in () if stage.frozen else stage.deps:
                found += [f"{_name(stage)} ({what})" for what in _dep(repo, dep, outs, seen)]
            for out in stage.outs:
                if not out.hash_info or (not out.use_cache and out.status()):
                    found.append(f"{_name(stage)} ({place(out)})")
        return found


def _dep(
    repo: Any, dep: Any, outs: Mapping[str, Any], seen: dict[tuple[str, str], bool]
) -> Sequence[str]:
    """What of a dependency is not as the lock has it."""
    from dvc.dependency.param import ParamsDependency

    if isinstance(dep, ParamsDependency):
        status = dep.status()
        return [key for keys in status.values() for key in (keys if _is_keys(keys) else status)]
    path = place(dep)
    made = outs.get(path)
    if made is not None:
        return () if made.hash_info == dep.hash_info else [path]
    if any(str(parent) in outs for parent in PurePosixPath(path).parents):
        return ()
    inside = [out for name, out in outs.items() if name.startswith(f"{path}/")]
    if inside:
        return () if _holds(repo, path, dep, inside) else [path]
    if not dep.is_in_repo:
        return ()
    key = (path, str(dep.hash_info))
    if key not in seen:
        seen[key] = bool(dep.status())
    return [path] if seen[key] else ()


def _is_keys(keys: object) -> bool:
    return isinstance(keys, Mapping)


def _holds(repo: Any, path: str, dep: Any, outs: Sequence[Any]) -> bool:
    """Whether a folder has as many files and bytes as what stages and git put into it.

    Its md5 cannot be told without the data.
    """
    root = repo.fs.join(repo.root_dir, *PurePosixPath(path).parts)
    here = [repo.fs.info(name)["size"] for name in repo.dvcignore.find(repo.fs, root)]
    size = sum(here) + sum(out.meta.size or 0 for out in outs)
    files = len(here) + sum(out.meta.nfiles or 1 for out in outs)
    return bool((size, files) == (dep.meta.size, dep.meta.nfiles))


def place(entry: Any) -> str:
    """Relative to the root of the project."""
    return str(PurePosixPath(*entry.fs.relparts(entry.fs_path, entry.repo.root_dir)))


def _name(stage: Any) -> str:
    return str(stage.addressing).rpartition(":")[2]
