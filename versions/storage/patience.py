"""How long a remote that says nothing is waited for, whatever its client would do."""

from stages.common.errors import VersionError
from versions.storage import faults
from versions.storage.remote_config import Remote

LOOK_SECONDS = 5
"""How often the remote is asked whether it is still there."""

STRIKES = 3
"""So many times in a row without an answer, and what goes on is ended."""


class Patience:
    """Counts how often in a row a remote has not answered.

    Args:
        remote: that is worked with.
        during: what goes on, for the message.
    """

    def __init__(self, remote: Remote, during: str) -> None:
        self._remote = remote
        self._during = during
        self._strikes = 0

    def look(self) -> None:
        """Ask the remote, beside what goes on.

        Raises:
            VersionError: it has not answered `STRIKES` times in a row.
        """
        fault = faults.fault(self._remote)
        self._strikes = self._strikes + 1 if fault else 0
        if self._strikes == STRIKES:
            raise VersionError(
                f"{fault}; it went away during {self._during}: what has been transferred is kept,"
                " try again when it answers"
            )
