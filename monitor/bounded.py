"""Calls a function, and waits for it no longer than a time limit."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


def bounded(function: Callable[[], _T], seconds: float) -> _T:
    """The result of a function.

    It runs in a daemon thread. After the time limit nothing waits for the thread, and it does not
    keep the process from ending.

    Raises:
        TimeoutError: it took longer.
        BaseException: what the function raised.
    """
    results: SimpleQueue[tuple[_T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:  # noqa: BLE001  # is raised again below
            results.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer for {seconds:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # without an error it is a result
