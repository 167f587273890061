"""Push and pull through DVC, with a look at the remote before, during and after.

DVC itself moves every byte. What it leaves open is closed here: a server that is gone in the middle
is waited for file by file; a pull of a broken object goes on to the checkout, which removes the
former files and then finds no new ones; a push believes its own notes on what the bucket has.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence

from stages.common.errors import VersionError, few
from versions.storage import bucket, faults, heal, objects, patience
from versions.storage.objects import Object
from versions.storage.remote_config import Remote

END_SECONDS = 10
"""How long DVC may take to end once it is told to."""


def push(to: Remote, targets: Sequence[str] = (), jobs: int | None = None) -> int:
    """`dvc push`, then what the bucket lacks all the same; returns the number of objects.

    Raises:
        VersionError: the remote cannot be used or written, went away, or lacks objects afterwards.
    """
    spoken = objects.spoken(to.repo, targets)
    faults.check(to)
    status = _dvc(to, "push", spoken, jobs)
    if status:
        faults.check(to)
    asked = bucket.wanted(to, targets)
    # What a list names that can be read nowhere is not known to be there.
    absent = {item.oid: item for item in bucket.absent(to, asked.objects.values())}
    absent |= {item.oid: item for item in asked.unlisted}
    _, lost = heal.write(to, absent.values())
    if lost:
        raise VersionError(
            f"the bucket lacks {_names(lost)} and no whole copy is here: run `dvc repro`, then "
            "`make push`, or push from the clone that has them"
        )
    if status:
        raise VersionError(
            f"`dvc push` ended with {status}, see its lines above; `make heal` mends a bucket that"
            " has broken objects"
        )
    return len(asked.objects)


def pull(of: Remote, targets: Sequence[str] = (), jobs: int | None = None) -> int:
    """`dvc fetch`, and only if all has come `dvc checkout`; returns the number of objects.

    Raises:
        VersionError: the remote cannot be used, went away, lacks objects or has broken ones; the
            working tree is as it was. Or `dvc checkout` refused.
    """
    spoken = objects.spoken(of.repo, targets)
    faults.check(of)
    status = _dvc(of, "fetch", spoken, jobs)
    asked = objects.wanted(objects.outputs(of.repo), [of.repo.cache.local], targets)
    absent = [item for item in asked.objects.values() if not objects.cached(of.repo, item).exists()]
    if absent:
        faults.check(of)
        raise VersionError(f"{_diagnosis(of, absent)}; the working tree is as it was")
    if status:
        raise VersionError(f"`dvc fetch` ended with {status}, see its lines above")
    if status := _dvc(of, "checkout", spoken, None):
        raise VersionError(
            f"`dvc checkout` ended with {status}: keep what it names above elsewhere, or let it go "
            "with `dvc checkout --force`"
        )
    return len(asked.objects)


def _diagnosis(of: Remote, absent: Sequence[Object]) -> str:
    """Which of the objects that did not come are broken in the bucket, and which are not in it."""
    states = bucket.states(of, absent)
    broken = [item for item in absent if states[item.oid] == "broken"]
    missing = [item for item in absent if states[item.oid] == "missing"]
    if broken:
        return (
            f"the bucket holds {_names(broken)} with other bytes than dvc.lock says: run `make "
            "heal` in a clone that has them, then `make pull` again"
        )
    if missing:
        return (
            f"the bucket lacks {_names(missing)}: run `make push` in the clone that made them, or "
            "`dvc repro` here"
        )
    return f"{_names(absent)} did not come: run `make pull` again, it fetches only what is missing"


def _names(items: Sequence[Object]) -> str:
    return few([item.name for item in items], 3)


def _dvc(with_: Remote, command: str, targets: Sequence[str], jobs: int | None) -> int:
    """Run a DVC command under its own progress bar; end it if the remote is gone for good."""
    words = [sys.executable, "-m", "dvc", command, *targets]
    if jobs is not None:
        words += ["--jobs", str(jobs)]
    child = subprocess.Popen(words)  # noqa: S603  # DVC, no shell
    waiting = patience.Patience(with_, f"`dvc {command}`")
    try:
        while True:
            try:
                return child.wait(patience.LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if command != "checkout":
                    waiting.look()
    except VersionError:
        _end(child, told=False)
        raise
    except KeyboardInterrupt:
        # The terminal tells the child as well; a second time would cut its tidying short.
        _end(child, told=True)
        raise VersionError(
            f"`dvc {command}` was interrupted: what has been transferred is kept, type it again"
        ) from None


def _end(child: "subprocess.Popen[bytes]", *, told: bool) -> None:
    """Wait for a child that has been told to end, or tell it; then end it."""
    for how in (signal.SIGINT, signal.SIGKILL):
        if not told:
            child.send_signal(how)
        told = False
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
