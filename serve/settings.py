"""What the server can be told, by environment variables: `SERVE_PORT=9000 python -m serve`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from stages.errors import StageError


class SettingsError(StageError):
    """A setting is wrong; one clause per mistake, each opening with the variable."""


class Settings(BaseSettings):
    """Every setting of the server; a variable is the name of a field after `SERVE_`.

    Attributes:
        root: the project, or a folder that holds `models/` and `dvc.lock`.
        revision: what to call the revision where there is no git.
        database_url: of the prediction log; the variable is `DATABASE_URL`, without `SERVE_`.
        log_timeout: seconds that an answer may wait for its row to be durable.
        log_backlog: rows that may wait for that, before requests are turned away.
        when_log_is_down: answer 503, or write to `spool` and say so.
        max_body: bytes of a request, but for an Arrow stream.
        max_arrow_body: bytes of an Arrow stream.
        max_batch: rows of a JSON batch.
        request_timeout: seconds that a request may take.
        cors_origins: origins whose pages may call the API.
        rate_limit: requests a minute of one key or address; 0 is no limit.
        keys_file: API keys, as `python -m serve keys add` writes them.
        allow_open: serve other machines without keys.
    """

    model_config = SettingsConfigDict(
        env_prefix="SERVE_", extra="ignore", frozen=True, populate_by_name=True
    )

    root: Path = Path()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: PositiveInt = 1
    revision: str = ""
    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    log_timeout: PositiveFloat = 5.0
    log_backlog: PositiveInt = 10_000
    when_log_is_down: Literal["refuse", "spool"] = "refuse"
    var: Path = Path("var")
    max_body: PositiveInt = 2_000_000
    max_arrow_body: PositiveInt = 256_000_000
    max_batch: PositiveInt = 1_000
    request_timeout: PositiveFloat = 30.0
    cors_origins: list[str] = []
    rate_limit: Annotated[int, Field(ge=0)] = 0
    keys_file: Path | None = None
    keys: str = ""
    allow_open: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def working_folder(self) -> Path:
        """Where the server keeps files of its own."""
        return self.root / self.var

    @property
    def log_url(self) -> str:
        """Where the prediction log is."""
        return self.database_url or f"sqlite:///{self.working_folder / 'predictions.db'}"


def load() -> Settings:
    """The settings of the environment.

    Raises:
        SettingsError: one or more are wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_mistake(found) for found in error.errors())) from None


def _mistake(found: ErrorDetails) -> str:
    name = str(found["loc"][0])
    variable = name.upper() if name.isupper() else f"SERVE_{name.upper()}"
    return f"{variable}={found['input']}: {found['msg'].lower()}"
