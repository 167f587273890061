"""What the dashboard asks the server, over HTTP like anyone else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from stages.common.errors import StageError
from stages.common.text import first_line

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
KEY_HEADER = "X-API-Key"


INVALID_ROWS = "invalid-rows"
"""The kind of a refusal of a batch because some of its rows cannot be forecast."""


class ServerAwayError(StageError):
    """Nothing answers at the address of the server, or another program does."""


class RefusedError(StageError):
    """The server refused; the message is its own.

    Args:
        message: one line.
        kind: the last part of the problem's `type` (RFC 9457); empty if it has none.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Server:
    """A server, asked in the name of one viewer.

    Attributes:
        url: its address, without a path.
        key: of the viewer; empty where none is needed.
        client: connections, shared by all viewers.
    """

    url: str
    key: str = field(repr=False)
    client: httpx.Client

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer; parameters that are None are left out.

        Raises:
            ServerAwayError: nothing answers.
            RefusedError: the answer is not a success.
        """
        return _json(self._ask("GET", path, query))

    def text(self, path: str) -> str:
        """The same as text, such as /metrics."""
        return self._ask("GET", path, {}).text

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON; the JSON of the answer.

        Raises:
            ServerAwayError: nothing answers.
            RefusedError: the answer is not a success.
        """
        return _json(self._ask("POST", path, {}, body))

    def health(self) -> Mapping[str, Any]:
        """What /health says, also of a server that cannot answer predictions.

        Raises:
            ServerAwayError: nothing answers.
        """
        return _report(self._ask("GET", "/health", {}, accepted=(503,)), "checks")

    def version(self) -> Mapping[str, Any]:
        """What /version says: the revision that is served, and its models.

        Raises:
            ServerAwayError: nothing answers.
            RefusedError: the answer is not a success.
        """
        return _report(self._ask("GET", "/version", {}), "models")

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        accepted: Sequence[int] = (),
    ) -> httpx.Response:
        try:
            answer = self.client.request(
                method,
                f"{self.url}{path}",
                params={name: value for name, value in query.items() if value is not None},
                json=body,
                headers={KEY_HEADER: self.key} if self.key else {},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerAwayError(
                f"no answer from the server at {self.url}: {first_line(error).lower()}; "
                "start it with `make serve`"
            ) from None
        if answer.is_success or answer.status_code in accepted:
            return answer
        raise _refusal(answer)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise _elsewhere(answer) from None


def _report(answer: httpx.Response, key: str) -> Mapping[str, Any]:
    """An answer of this project's server, which has a key that no other program's has."""
    report = _json(answer)
    if not isinstance(report, Mapping) or key not in report:
        raise _elsewhere(answer)
    return report


def _elsewhere(answer: httpx.Response) -> ServerAwayError:
    return ServerAwayError(
        f"what answers at {answer.url} is not the server of this project; see DASHBOARD_SERVER, "
        "and start the server with `make serve`"
    )


def _refusal(answer: httpx.Response) -> RefusedError:
    """The problem of an answer (RFC 9457), or its status where it has none."""
    try:
        problem = answer.json()
        kind = str(problem.get("type", "")).rpartition("/")[2]
        return RefusedError(str(problem["detail"]), kind)
    except (ValueError, KeyError, AttributeError):
        return RefusedError(f"the server answered {answer.status_code} {answer.reason_phrase}")
