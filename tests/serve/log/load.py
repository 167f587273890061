"""Callers that ask for predictions as fast as they are answered."""

import http.client
import json
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any, Self


class Load:
    """Threads that ask, each over a connection of its own, from when the context is entered.

    Attributes:
        answers: those with status 200.
        statuses: how often each was given; 0 is an answer that did not come whole.
    """

    def __init__(self, port: int, threads: int = 6) -> None:
        self.answers: list[dict[str, Any]] = []
        self.statuses: Counter[int] = Counter()
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._ended.is_set():
            try:
                connection.request(
                    "POST", "/predict/short", b"{}", {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                connection.close()
                time.sleep(0.01)
                continue
            self.statuses[answer.status] += 1
            if answer.status == http.HTTPStatus.OK:
                self.answers.append(json.loads(body))
            else:
                time.sleep(0.01)
        connection.close()

    def more(self, answers: int, seconds: float = 20.0) -> None:
        """Wait until so many more were given."""
        wanted = len(self.answers) + answers
        deadline = time.monotonic() + seconds
        while len(self.answers) < wanted:
            assert time.monotonic() < deadline, f"no more answers: {self.statuses}"
            time.sleep(0.002)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
