"""Settings of the server: environment variables, such as `SERVE_PORT=9000`, or lines of `.env`."""

import difflib
import io
import os
import re
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from predictions.location import default_url
from serve.request_schemas import MOST_ROWS
from stages.common.errors import StageError

ALIKE = 0.85
"""How similar a misspelt name is to that of a setting. Other names must pass: Kubernetes sets
`SERVE_...` variables of its own if a service is named serve."""

ENV_FILE = Path(".env")
"""Variables for what is started in this folder; those of the environment come before them."""

_ORIGIN = re.compile(r"https?://[^/\s,*]+")


class SettingsError(StageError):
    """Settings are wrong; the message has a clause for each, which begins with its variable."""


Several = Annotated[tuple[str, ...], NoDecode]
"""Several values, with commas between them."""


class Settings(BaseSettings):
    """Every setting of the server; a variable is the name of a field after `SERVE_`.

    Attributes:
        root: the project, or a folder that holds `models/` and `dvc.lock`.
        var: where the server keeps files of its own, within `root`.
        revision: what to call the revision where there is no git.
        database_url: of the prediction log, by default SQLite in `var`; the variable is
            `DATABASE_URL`, without `SERVE_`.
        log_timeout: seconds that a request may wait for the prediction log.
        log_backlog: rows that may wait for that, before requests are turned away.
        host: the address to listen on.
        port: the port to listen on; 0 takes a free one.
        workers: processes that answer.
        tls_certificate: PEM file with the certificate and its chain; then the server speaks HTTPS.
        tls_key: PEM file with the private key of the certificate, if it is not in the same file.
        trusted_proxies: addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        keys: API keys, as `python -m serve keys add` prints them, with spaces between them.
        keys_file: file of API keys, one a line; read again whenever it changes.
        allow_open: serve without keys at any address, also where uvicorn was started directly.
        cors_origins: origins whose pages may call the API, such as `https://desk.example.org`.
        rate_limit: requests a minute of one key, or of one address without a key; 0: any number.
        max_body: bytes of bars or a JSON batch.
        max_arrow_body: bytes of an Arrow stream.
        max_batch: rows of a JSON batch.
        request_timeout: seconds until the answer to a request has to begin.
        keep_alive: seconds that a connection may be idle between requests.
        adaptive_intervals: what to do with the intervals that the monitor has corrected: `off`,
            `show` them beside the model's own, or `serve` them in their place.
        log_level: the lowest that is logged: `debug`, `info` (each request), `warning` or `error`.
    """

    model_config = SettingsConfigDict(
        env_prefix="SERVE_", extra="ignore", frozen=True, populate_by_name=True
    )

    root: Path = Path()
    var: Path = Path("var")
    revision: str = ""
    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    log_timeout: PositiveFloat = 5.0
    log_backlog: PositiveInt = 10_000
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    workers: PositiveInt = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: Several = ()
    keys: str = ""
    keys_file: Path | None = None
    allow_open: bool = False
    cors_origins: Several = ()
    rate_limit: Annotated[int, Field(ge=0)] = 0
    max_body: PositiveInt = 2_000_000
    max_arrow_body: PositiveInt = 256_000_000
    max_batch: Annotated[PositiveInt, Field(le=MOST_ROWS)] = 1_000
    request_timeout: PositiveFloat = 30.0
    keep_alive: PositiveInt = 5
    adaptive_intervals: Literal["off", "show", "serve"] = "off"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Take `a,b` apart."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """An origin is compared as a whole: one with a path would never match."""
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise PydanticCustomError(
                    "origin",
                    "{origin} is not an origin, such as https://desk.example.org",
                    {"origin": origin},
                )
        return origins

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Uvicorn would take anything else for a name, which no proxy has."""
        for address in addresses:
            try:
                ip_network(address, strict=False)
            except ValueError:
                raise PydanticCustomError(
                    "address", "{address} is not an address or a network", {"address": address}
                ) from None
        return addresses

    @property
    def working_folder(self) -> Path:
        """Where the server keeps files of its own."""
        return self.root / self.var

    @property
    def log_url(self) -> str:
        """Where the prediction log is."""
        return self.database_url or default_url(self.working_folder)


def load() -> Settings:
    """The settings of the environment and of `.env`.

    Raises:
        SettingsError: a setting or a line of the file is wrong, or a variable almost has the name
            of a setting.
    """
    of_file = _read(ENV_FILE)
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted({*os.environ, *of_file}):
        # A misspelt setting must not count as unset: it may be that of the keys.
        if name.startswith("SERVE_") and name not in known:
            where = "" if name in os.environ else f"{ENV_FILE}: "
            for near in difflib.get_close_matches(name, known, n=1, cutoff=ALIKE):
                raise SettingsError(f"{where}{name}: no such setting; did you mean {near}?")
    try:
        return Settings(_env_file=ENV_FILE if of_file else None)
    except ValidationError as error:
        raise SettingsError("; ".join(_message(mistake) for mistake in error.errors())) from None


def origin(field: str) -> str:
    """Where the value of a field came from: `environment`, `.env` or `default`."""
    # pydantic takes the name of the field as well where a variable has another.
    names = {variable(field), f"SERVE_{field.upper()}"}
    if names & os.environ.keys():
        return "environment"
    return str(ENV_FILE) if names & _read(ENV_FILE).keys() else "default"


def _read(path: Path) -> dict[str, str | None]:
    """The variables of a file, by name; an empty dict if the file is missing.

    Raises:
        SettingsError: it cannot be read, a line is not `NAME=VALUE`, or a name comes twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise SettingsError(f"{path}: {reason.lower()}") from None
    from dotenv.parser import parse_stream

    variables: dict[str, str | None] = {}
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(f"{path}: line {line} is not NAME=VALUE")
        # As pydantic does, which takes names in any case.
        name = (binding.key or "").upper()
        if name in variables:
            raise SettingsError(f"{path}: line {line}: {name} is there twice")
        if name:
            variables[name] = binding.value
    return variables


def check_folder(settings: Settings) -> None:
    """Check that the files which workers share can be made; without them no app can start.

    Raises:
        SettingsError: the working folder cannot be made or written.
    """
    folder = settings.working_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"SERVE_VAR={settings.var}: {folder} cannot be written: {reason}; it is needed for "
            "SERVE_RATE_LIMIT and for several SERVE_WORKERS"
        ) from None


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"SERVE_{field.upper()}"


def _message(mistake: ErrorDetails) -> str:
    """A mistake with its value, which is not a secret: a setting with secrets may be any text."""
    field, value, text = str(mistake["loc"][0]), mistake["input"], mistake["msg"]
    name = variable(field) if field in Settings.model_fields else field
    message = text[0].lower() + text[1:]
    if origin(field) == str(ENV_FILE):
        name = f"{ENV_FILE}: {name}"
    return f"{name}={value}: {message}" if isinstance(value, str) else message
