"""Settings of the monitor: where the server's log is, and where alerts go.

Thresholds are in `params.yaml` (`monitor:`), because they belong to a revision; what belongs to a
machine, and secrets, are environment variables or lines of `.env`.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from predictions.location import default_url
from stages.common import sections
from stages.common.errors import StageError
from stages.common.sections import Sections
from stages.monitor_params import MonitorParams


class MonitorError(StageError):
    """The monitor cannot do what was asked."""


class Settings(BaseSettings):
    """Every setting of the monitor.

    Attributes:
        var: where server and monitor keep their files (`SERVE_VAR`).
        database_url: of the prediction log (`DATABASE_URL`).
        timeout: seconds that a statement may wait (`SERVE_LOG_TIMEOUT`).
        alert_urls: where alerts go, as URLs of Apprise with spaces between them
            (`MONITOR_ALERT_URLS`).
        now: the moment that counts as now, for a simulation (`MONITOR_NOW`).
    """

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, populate_by_name=True, env_file=".env"
    )

    var: Annotated[Path, Field(validation_alias="SERVE_VAR")] = Path("var")
    database_url: Annotated[str, Field(validation_alias="DATABASE_URL")] = ""
    timeout: Annotated[float, Field(validation_alias="SERVE_LOG_TIMEOUT", gt=0)] = 5.0
    alert_urls: Annotated[str, Field(validation_alias="MONITOR_ALERT_URLS", repr=False)] = ""
    now: Annotated[datetime | None, Field(validation_alias="MONITOR_NOW")] = None

    @property
    def folder(self) -> Path:
        """What the monitor writes, beside its tables."""
        return self.var / "monitor"

    @property
    def log_url(self) -> str:
        """Where the prediction log and the tables of the monitor are."""
        return self.database_url or default_url(self.var)

    @property
    def clock(self) -> datetime:
        """The time, in UTC."""
        if self.now is None:
            return datetime.now(UTC)
        return self.now.astimezone(UTC) if self.now.tzinfo else self.now.replace(tzinfo=UTC)


def load() -> Settings:
    """The settings of the environment and of `.env`.

    Raises:
        MonitorError: a setting is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise MonitorError(f"{first['loc'][0]}={first['input']}: {first['msg']}") from None


class _Monitor(Sections):
    monitor: MonitorParams


def thresholds() -> MonitorParams:
    """The section `monitor:` of `params.yaml`.

    Raises:
        ParamsError: it is wrong.
    """
    return sections.load(_Monitor).monitor


def who() -> str:
    """The person who runs this command."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown"
