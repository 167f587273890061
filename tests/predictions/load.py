"""Callers that ask for predictions as fast as they are answered."""

import http.client
import json
import threading
import time
from collections import Counter
from itertools import cycle, islice
from types import TracebackType
from typing import Any, Self

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")


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
        self._threads = [
            threading.Thread(target=self._ask, args=(symbol,))
            for symbol in islice(cycle(SYMBOLS), threads)
        ]

    def _ask(self, symbol: str) -> None:
        body = json.dumps({"symbol": symbol}).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._ended.is_set():
            try:
                connection.request(
                    "POST", "/predict/short", body, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self.statuses[0] += 1
                connection.close()
                time.sleep(0.01)
                continue
            self.statuses[answer.status] += 1
            if answer.status == http.HTTPStatus.OK:
                self.answers.append(json.loads(content))
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
