"""Files of any revision from the cache of DVC, by their md5: without a checkout."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from monitor.retraining.contestant import Contestant
from monitor.settings import MonitorError

Find = Callable[[str], Path]


@cache
def cache_of(root: Path) -> Find:
    """A function that gives the path of an md5 in the cache of a project.

    Raises:
        MonitorError: DVC does not know the project.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            folder = Path(repo.cache.local.path)
    except DvcException as error:
        raise MonitorError(f"{root}: DVC cannot tell where its cache is: {error}") from None
    return lambda md5: folder / md5[:2] / md5[2:]


def path(root: Path, md5: str, name: str) -> Path:
    """Where a file is.

    Args:
        root: of the project.
        md5: of the file.
        name: what to call it in a message.

    Raises:
        MonitorError: the cache lacks it.
    """
    found = cache_of(root)(md5)
    if not found.exists():
        raise MonitorError(
            f"{name} (md5 {md5}) is not in the cache here; `git checkout` its revision and "
            "`make pull`"
        )
    return found


def file(contestant: Contestant, horizon: str, name: str) -> Path:
    """A file of the model of a horizon.

    Raises:
        MonitorError: the pipeline did not make it, or the cache lacks it.
    """
    md5 = contestant.md5(horizon, name)
    return path(contestant.root, md5, f"models/{horizon}/{name} of {contestant.commit[:7]}")


def card(contestant: Contestant, horizon: str) -> dict[str, Any]:
    """The model card of a horizon."""
    content: dict[str, Any] = json.loads(file(contestant, horizon, "card.json").read_bytes())
    return content
