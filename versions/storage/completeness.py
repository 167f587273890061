"""The objects of a revision in the default remote: all there, or pushed from the local cache.

What a revision needs is everything that DVC caches of it, not the models alone: who goes back to
it by git needs its data too.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.errors import StageError, VersionError, few
from versions.repository import revision as revisions
from versions.storage import faults, heal, objects
from versions.storage import remote_config as remotes
from versions.storage.remote_config import Remote


@dataclass(frozen=True)
class Sent:
    """What was done: where to, how many objects the revision has, how many had to be pushed."""

    remote: str
    objects: int
    pushed: int


def ensure(revision: str, folder: Path | None = None) -> Sent:
    """Make the default remote hold every object of a revision, pushing what it lacks.

    Raises:
        VersionError: no remote is set, it cannot be reached or written, or an object is neither
            in it nor in the local cache. Nothing that is there is touched.
    """
    outs = _outs(revision, folder)
    with _repo(folder) as repo, _store(repo) as (remote, s3):
        cache = repo.cache.local
        asked = objects.wanted(outs, (cache, remote))
        there = set(remote.oids_exist(list(asked.objects)))
        lacking = {oid: item for oid, item in asked.objects.items() if oid not in there}
        absent = [
            item
            for oid, item in lacking.items()
            if objects.state_here(objects.cached(repo, item), oid) != "whole"
        ]
        where = remote.fs.unstrip_protocol(remote.path)
        if absent or asked.unlisted:
            names = {item.name for item in (*absent, *asked.unlisted)}
            raise VersionError(
                f"{few(sorted(names))} of {revision} is neither in {where} nor in the cache "
                f"here; `git checkout {revision}` and `dvc push` where it was made, or `dvc repro` "
                "there and push"
            )
        if s3 is None:
            _push(cache, remote, {oid: item.name for oid, item in lacking.items()}, where)
        else:
            # DVC would wait without an end for a server that says nothing.
            heal.write(s3, lacking.values())
    return Sent(where, len(asked.objects), len(lacking))


def _outs(revision: str, folder: Path | None) -> list[tuple[str, str]]:
    """What DVC shares of a revision."""
    with revisions.opened(revision, folder) as repo:
        unknown = objects.unmade(repo)
        if unknown:
            raise VersionError(f"{few(unknown)} of {revision} was never made; `dvc repro`")
        return objects.outputs(repo)


def _push(cache: Any, remote: Any, lacking: Mapping[str, str], where: str) -> None:
    """Send objects, the lists of folders last: a list in the remote speaks for its files."""
    from dvc.fs.callbacks import TqdmCallback
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.transfer import transfer

    infos = {HashInfo("md5", oid) for oid in lacking}
    if not infos:
        return
    with (
        _reasons() as reasons,
        TqdmCallback(
            desc=f"push to {where}", unit="file", disable=not sys.stderr.isatty()
        ) as progress,
    ):
        failed = transfer(
            cache, remote, infos, cache_odb=cache, shallow=True, callback=progress
        ).failed
    if failed:
        names = few(sorted(lacking[str(info.value)] for info in failed), 3)
        raise VersionError(
            f"{names} could not be pushed to {where} ({few(reasons, 1)}); what has arrived stays, "
            "and the next try sends the rest"
        )


@contextmanager
def _reasons() -> Iterator[list[str]]:
    """Collect why objects failed, which DVC only logs."""
    reasons: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                reasons.append(_first_line(record.exc_info[1]))

    logger, collector = logging.getLogger("dvc_data"), Collector()
    former = logger.propagate
    logger.propagate = False
    logger.addHandler(collector)
    try:
        yield reasons
    finally:
        logger.removeHandler(collector)
        logger.propagate = former


@contextmanager
def _repo(folder: Path | None) -> Iterator[Any]:
    from dvc.repo import Repo

    with Repo(None if folder is None else str(folder)) as repo:
        yield repo


@contextmanager
def _store(repo: Any) -> Iterator[tuple[Any, Remote | None]]:
    """DVC's object store in the default remote, which is also given by itself where it is an S3.

    What keeps it from being used is told in one line.
    """
    name = repo.config["core"].get("remote")
    if name is None:
        raise VersionError(
            "no default remote is set, and what is promoted must lie in one; "
            "`dvc remote add --default NAME URL` sets it"
        )
    url = repo.config["remote"].get(name, {}).get("url", "")
    if remotes.is_s3(url):
        there = remotes.of(repo)
        faults.check(there)
        with faults.explaining(there):
            yield there.objects, there
        return
    try:
        yield repo.cloud.get_remote_odb(command="push"), None
    except StageError:
        raise
    except Exception as error:  # noqa: BLE001  # each file system raises its own
        raise VersionError(
            f"the remote {name} ({url}) cannot be used: {_first_line(error)}; look at "
            f"`dvc config --list` and try again"
        ) from None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
