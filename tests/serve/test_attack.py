"""The API attacked by its own OpenAPI document: no failure, and no undocumented answer."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.edge import keyring
from tests.serve.servers import Server

SECRET, KEY = keyring.make("root", ["admin"])
BEARER = ("--header", f"Authorization: Bearer {SECRET}")

CONFORMANCE = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,allow_header_conformance"
)
"""All that an answer shall be, whatever was asked."""

EVERYTHING = f"{CONFORMANCE},negative_data_rejection,unsupported_method,use_after_free,ignored_auth"
"""And what is wrong shall be refused. That all else is taken is no check: no document can say that
bars must be in order, or that a day must not be in the future."""

MANY = os.environ.get("CI_FULL") == "1"

PHASES = "--phases=examples,fuzzing" if MANY else "--phases=fuzzing"
"""With keys. The examples take long to fill in, and are asked of the server without keys."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(models, tmp_path_factory.mktemp("open")) as server:
        yield server


@pytest.fixture(scope="module")
def locked(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(models, tmp_path_factory.mktemp("locked"), KEYS=str(KEY)) as server:
        yield server


def attack(server: Server, folder: Path, *arguments: str) -> dict[int, int]:
    """Attack a server; returns how often it gave each status."""
    done = subprocess.run(
        [
            "schemathesis",
            "--no-color",
            "run",
            f"{server.url}/openapi.json",
            "--seed=7",
            "--generation-database=none",
            "--report=ndjson",
            "--report-ndjson-path=events.ndjson",
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2_000:]
    # The log would have a failure that no caller sees.
    assert "Traceback" not in server.log_text()
    return _statuses((folder / "events.ndjson").read_text(encoding="utf-8"))


def _statuses(events: str) -> dict[int, int]:
    counts: dict[int, int] = {}

    def look(value: object) -> None:
        if isinstance(value, dict):
            status = value.get("status_code")
            if isinstance(status, int):
                counts[status] = counts.get(status, 0) + 1
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    for line in events.splitlines():
        look(json.loads(line))
    return counts


def test_without_keys(opened: Server, tmp_path: Path) -> None:
    chosen = f"--max-examples={4 if MANY else 1}"
    statuses = attack(opened, tmp_path, "--checks", EVERYTHING, chosen)
    assert statuses.keys() >= {200, 201, 404, 405, 409, 415, 422}
    assert sum(statuses.values()) > (500 if MANY else 200)


def test_with_a_key(locked: Server, tmp_path: Path) -> None:
    chosen = (PHASES, f"--max-examples={3 if MANY else 2}", *BEARER)
    statuses = attack(locked, tmp_path, "--checks", EVERYTHING, *chosen)
    # It also calls every endpoint without the key, and with a wrong one.
    assert statuses.keys() >= {200, 401, 404, 422}


def test_of_a_server_with_keys_nothing_leaves_without_one(locked: Server, tmp_path: Path) -> None:
    chosen = (PHASES, f"--max-examples={2 if MANY else 1}")
    statuses = attack(locked, tmp_path, "--checks", CONFORMANCE, *chosen)
    assert statuses.keys() <= {200, 401, 405}
    assert statuses[401] > statuses[200] > 0
