"""A log of live forecasts, and the monitor's settings for it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from monitor import __main__ as command_line
from monitor.settings import Settings
from stages.common.running import run
from tests.monitor import live

if TYPE_CHECKING:
    from tests.predictions.postgres import Postgres

Monitor = Callable[..., tuple[int, str, str]]
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a monitor in the test's own folder, on the evening of 1 April 2020."""
    return live.settings(tmp_path, datetime(2020, 4, 1, 22, tzinfo=UTC))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """An empty SQLite log."""
    log_engine = live.log(settings)
    yield log_engine
    log_engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings_of_both(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """The same for either database."""
    if request.param == "sqlite":
        return settings
    server: Postgres = request.getfixturevalue("postgres")
    return settings.model_copy(update={"database_url": server.new_database()})


@pytest.fixture
def engine_of_both(settings_of_both: Settings) -> Iterator[Engine]:
    """An empty log in either database."""
    log_engine = live.log(settings_of_both)
    yield log_engine
    log_engine.dispose()


@pytest.fixture
def monitor(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Monitor:
    """Runs `python -m monitor`; gives the exit status, and what it wrote to both streams."""
    monkeypatch.setenv("SERVE_VAR", str(settings.var))
    monkeypatch.setenv("MONITOR_NOW", settings.clock.isoformat())

    return _commands(monkeypatch, capsys)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The same where a test has set its own world up; both streams are one text."""
    run_command = _commands(monkeypatch, capsys)

    def called(*arguments: str) -> tuple[int, str]:
        status, out, errors = run_command(*arguments)
        return status, out + errors

    return called


def _commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Monitor:
    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["monitor", *arguments])
        capsys.readouterr()
        status = 0
        try:
            run(command_line.main)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        return status, *capsys.readouterr()

    return called
