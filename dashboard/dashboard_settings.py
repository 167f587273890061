"""Settings of the dashboard: environment variables, or lines of `.env`."""

from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

import serve.server_settings
from stages.common.errors import StageError

LOCAL = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # is compared
"""How this machine reaches a server that listens on every address."""


class DashboardError(StageError):
    """The dashboard cannot do what was asked."""


class Settings(BaseSettings):
    """Every setting of the dashboard; a variable is the name of a field after `DASHBOARD_`.

    Attributes:
        host: the address to listen on; other machines are answered only with a key.
        port: the port to listen on.
        server: address of the server, by default that of its own settings on this machine. Pages
            show it, so it has no password.
    """

    model_config = SettingsConfigDict(
        env_prefix="DASHBOARD_", extra="ignore", frozen=True, env_file=".env"
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8501
    server: Annotated[str, Field(pattern=r"^(https?://[^/\s@]+)?$")] = ""


def load() -> Settings:
    """The settings of the environment and of `.env`.

    Raises:
        DashboardError: a setting is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        if field == "server":
            # Without its value, which may have a password: the line is printed, and pages show it.
            raise DashboardError(
                "DASHBOARD_SERVER: must be an address such as https://host:8000, without a user, a "
                "password or a path"
            ) from None
        raise DashboardError(
            f"DASHBOARD_{field.upper()}={first['input']}: {first['msg'].lower()}"
        ) from None


def server_url(settings: Settings, server: serve.server_settings.Settings) -> str:
    """Where the server answers."""
    if settings.server:
        return settings.server
    scheme = "https" if server.tls_certificate else "http"
    return f"{scheme}://{LOCAL.get(server.host, server.host)}:{server.port}"
