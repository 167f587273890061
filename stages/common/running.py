"""How every stage runs: one log line of what it did, one line of error, and an exit status.

Also how it imports a large library without the optional dependencies of that library.
"""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

from stages.common import stage_record
from stages.common.errors import StageError

_T = TypeVar("_T")

log = logging.getLogger("stages")


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; a `StageError`, or Ctrl-C, becomes one line on stderr.

    The exit status is then 1, and 130 after Ctrl-C.
    """
    # Imported modules stay: no later collection, nor that at exit, needs to visit them.
    gc.freeze()
    gc.enable()
    if {"-h", "--help"} & set(sys.argv[1:]):
        sys.stdout.write(f"{sys.modules['__main__'].__doc__}\n")
        return
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    # Libraries may warn; only the stages log at INFO.
    logging.getLogger().setLevel(logging.WARNING)
    log.setLevel(os.environ.get("LOG_LEVEL", "INFO").upper())
    with stage_record.recorded():
        _run(main)


def _run(main: Callable[[], None]) -> None:
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except StageError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        raise SystemExit(130) from None


def arguments(*names: str) -> list[str]:
    """The arguments of the command line, one per name.

    Raises:
        StageError: there are more or fewer.
    """
    words = sys.argv[1:]
    if len(words) != len(names):
        expected = " ".join(f"<{name}>" for name in names)
        raise StageError(f"expected {expected}, got {' '.join(words) or 'nothing'}; see --help")
    return words


class Parser(argparse.ArgumentParser):
    """A command line that reports a mistake in one line; `run` answers `--help`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(add_help=False, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            StageError: always.
        """
        raise StageError(f"{message}; see --help")


def progress(items: Iterable[_T], label: str, total: int | None = None) -> Iterable[_T]:
    """A progress bar on a terminal, and nothing anywhere else."""
    return tqdm(items, desc=label, total=total, disable=not sys.stderr.isatty(), leave=False)


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Import within this context as if these packages were not installed.

    Boosters, for instance, import scikit-learn and pandas for interfaces that nothing here uses:
    that is most of the time their import takes. A package that is imported already stays, and
    after the context each can be imported again. No garbage is collected meanwhile: that would
    take a sixth of the time and free nothing.
    """
    absent = set(packages) - set(sys.modules)
    # Python treats a module that is None as one that is not installed.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    collects, known = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            # The modules stay until the end: no later collection needs to visit them.
            gc.freeze()
        for name in absent:
            del sys.modules[name]
        if collects:
            gc.enable()
