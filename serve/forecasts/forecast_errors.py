"""Why a forecast cannot be made. `serve.routes.failures` gives each class its HTTP status."""

from stages.common.errors import StageError


class ForecastError(StageError):
    """A forecast cannot be made.

    Args:
        detail: one line for the caller: where, what, and what to do about it.
        kind: a name for programs, such as `unknown-symbol`; empty if the line is part of another.
    """

    def __init__(self, detail: str, kind: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


class UnknownNameError(ForecastError):
    """The revision has no such horizon, symbol or explanation."""


class InvalidInputError(ForecastError):
    """A day, a row or a stream of the caller is wrong."""


class TooManyRowsError(ForecastError):
    """A JSON batch has more rows than the server takes.

    Args:
        rows: how many, as text.
        limit: the most that are taken.
    """

    def __init__(self, rows: str, limit: int) -> None:
        super().__init__(
            f"rows: {rows} are too many, the limit is {limit:,} (SERVE_MAX_BATCH); "
            "send several batches, or an Arrow stream",
            "batch-too-large",
        )


class UnavailableError(ForecastError):
    """The server cannot answer now; the same request may succeed later."""
