"""What the dashboard asks the server, over HTTP like anyone else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from stages.common.errors import StageError
from stages.common.text import first_line

TIMEOUT = httpx.Timeout(20.0, connect=2.0)
KEY_HEADER = "X-API-Key"


class ServerAwayError(StageError):
    """Nothing answers at the address of the server."""


class RefusedError(StageError):
    """The server refused; the message is its own."""


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
        return self._ask("GET", path, query).json()

    def text(self, path: str) -> str:
        """The same as text, such as /metrics."""
        return self._ask("GET", path, {}).text

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON; the JSON of the answer.

        Raises:
            ServerAwayError: nothing answers.
            RefusedError: the answer is not a success.
        """
        return self._ask("POST", path, {}, body).json()

    def health(self) -> Mapping[str, Any]:
        """What /health says, also of a server that cannot answer predictions.

        Raises:
            ServerAwayError: nothing answers.
        """
        answer: Mapping[str, Any] = self._ask("GET", "/health", {}, accepted=(503,)).json()
        return answer

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
        except httpx.HTTPError as error:
            raise ServerAwayError(
                f"no answer from the server at {self.url}: {first_line(error).lower()}; "
                "start it with `make serve`"
            ) from None
        if answer.is_success or answer.status_code in accepted:
            return answer
        raise RefusedError(_detail(answer))


def _detail(answer: httpx.Response) -> str:
    """The detail of a problem (RFC 9457)."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code} {answer.reason_phrase}"
