"""Follow the checkout: load the revision that `git checkout` brings, and swap it in whole.

A change of dvc.lock, models/, HEAD or a tag starts a look. Where the files are not those of
dvc.lock (in the middle of a checkout, or while `dvc repro` has removed the outputs of the stage
that runs), the former bundle keeps serving from memory, and the next change starts another look.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from serve.checkout import bundle_files, loading, provenance
from serve.checkout.bundle import Bundle
from serve.checkout.bundle_files import BundleError
from serve.file_state import stamp
from stages.common.errors import StageError
from stages.common.paths import MODELS
from versions.repository import git
from versions.repository.lock import LOCK_FILE

log = logging.getLogger("serve")

PERIOD = 0.2
"""Seconds between glances at the names, sizes and times of the files; one takes 0.5 ms."""

AGAIN = 1.0
"""Seconds from the last change to one more look."""


class Follower:
    """Holds the bundle that answers, and replaces it.

    Args:
        named: what to call the revision where there is no git.
        swapped: is called with each new bundle.

    Attributes:
        current: the forecasts of the bundle that answers; None until one could be loaded.
        problem: why the checkout cannot be served; None while it is served.
    """

    def __init__(
        self, root: Path, named: str = "", swapped: Callable[[Bundle], None] | None = None
    ) -> None:
        self._root = root
        self._named = named
        self._swapped = swapped
        self.current: Bundle | None = None
        self.problem: str | None = None
        self._last_state: tuple[object, ...] = ()
        self._of_git = _of_git(root)

    def look(self) -> None:
        """Load the checkout unless it already serves; `problem` then says whether it does."""
        self._last_state = self._state()
        try:
            if self.current is not None and self._same(self.current):
                self.problem = None
            else:
                self._swap(loading.load(self._root, self._named))
        except BundleError as error:
            self._refuse(str(error))
        except Exception as error:  # noqa: BLE001  # of a later version of the project, perhaps
            self._refuse(
                f"models/ is of a form that this server does not know ({type(error).__name__}: "
                f"{bundle_files.reason(error)}); run the server of that revision"
            )

    def _refuse(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("the checkout cannot be served: %s", problem)
        self.problem = problem

    def _swap(self, bundle: Bundle) -> None:
        # If the new bundle cannot be used, the former one stays.
        if self._swapped is not None:
            self._swapped(bundle)
        self.current = bundle
        self.problem = None
        log.info("serving revision %s", bundle.revision.name)

    def _same(self, bundle: Bundle) -> bool:
        """Whether lock and files are those of the bundle; then only its revision may be new.

        Raises:
            BundleError: dvc.lock or a file of the bundle is missing, or a file has changed.
        """
        text = bundle_files.read_lock(self._root)
        if bundle_files.md5_of(text) != bundle.lock_md5:
            return False
        for path, md5 in bundle.files.items():
            bundle_files.checked(self._root, path, md5)
        md5s = {name: model.md5 for name, model in bundle.models.items()}
        revision = provenance.of(self._root, text, md5s, self._named)
        bundle_files.check_lock(self._root, text)
        if revision != bundle.revision:
            self._swap(replace(bundle, revision=revision))
        return True

    def _state(self) -> tuple[object, ...]:
        """A value that changes with every checkout, every release and every file of models/."""
        models = self._root / MODELS
        files = sorted([*models.glob("*"), *models.glob("*/*")])
        lock = self._root / LOCK_FILE
        return tuple((path, stamp(path)) for path in (lock, *self._of_git, *files))

    def start(self) -> None:
        """Begin to follow, from within a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Stop following."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _follow(self) -> None:
        again = math.inf
        while True:
            await asyncio.sleep(PERIOD)
            now = asyncio.get_running_loop().time()
            changed = self._state() != self._last_state
            if changed or now > again:
                # git writes a commit into logs/HEAD before it moves the branch, which is not
                # watched: a look between the two must be repeated.
                again = now + AGAIN if changed else math.inf
                await asyncio.to_thread(self.look)


def _of_git(root: Path) -> tuple[Path, ...]:
    """The files that git changes with each checkout of another commit, and with each tag."""
    try:
        lines = git.git("rev-parse", "--git-dir", "--git-common-dir", folder=root).splitlines()
    except StageError:
        return ()
    # All worktrees of a repository share its tags.
    own, shared = (root / line for line in lines)
    return own / "HEAD", own / "logs" / "HEAD", shared / "refs" / "tags", shared / "packed-refs"
