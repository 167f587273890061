"""A server that a network can reach: HTTPS, keys, two workers, one log."""

import asyncio
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from serve.checkout.loading import load
from tests.narrow import wait_for
from tests.projects import ROOT
from tests.serve.forecasts.streams import HEADERS, table, written
from tests.serve.servers import Server


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    alternatives = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


def command(file: Path, *arguments: str) -> str:
    """Run `python -m serve keys`; returns what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "serve", "keys", *arguments],
        cwd=ROOT,
        env={**os.environ, "SERVE_KEYS_FILE": str(file)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


class Secured:
    """The server, its keys, and a client that trusts it."""

    def __init__(self, models: Path, folder: Path) -> None:
        self.file = folder / "keys"
        self.chain, private = certify(folder)
        self.desk = command(self.file, "add", "desk", "--role", "predict")
        self.admin = command(self.file, "add", "root", "--role", "admin")
        self.server = Server(
            models,
            folder / "var",
            WORKERS="2",
            KEYS_FILE=str(self.file),
            TLS_CERTIFICATE=str(self.chain),
            TLS_KEY=str(private),
            LOG_LEVEL="info",
        )
        self.server.certificate = self.chain
        self.trust = ssl.create_default_context(cafile=str(self.chain))

    def ask(self, method: str, path: str, key: str | None, **options: Any) -> httpx2.Response:
        headers = {
            **options.pop("headers", {}),
            **({"Authorization": f"Bearer {key}"} if key else {}),
        }
        url = f"https://localhost:{self.server.port}{path}"
        return httpx2.request(method, url, headers=headers, verify=self.trust, **options)


@pytest.fixture(scope="module")
def secured(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    own = Secured(models, tmp_path_factory.mktemp("secured"))
    with own.server:
        yield own


def test_it_speaks_https_and_nothing_else(secured: Secured) -> None:
    answer = secured.ask("POST", "/predict/short", secured.desk)
    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in answer.headers
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"http://localhost:{secured.server.port}/")
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx2.get(f"https://localhost:{secured.server.port}/")


def test_the_live_feed_needs_a_key(secured: Secured) -> None:
    url = f"wss://localhost:{secured.server.port}/live"

    async def listen(key: str | None) -> str:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with connect(url, ssl=secured.trust, additional_headers=headers, proxy=None) as feed:
            return str(json.loads(await feed.recv())["type"])

    assert asyncio.run(listen(secured.desk)) == "hello"
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(listen(None))
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body)["type"] == "/problems/no-key"


def test_a_key_comes_and_goes_while_the_server_runs(secured: Secured) -> None:
    key = command(secured.file, "add", "guest", "--role", "predict")

    def until(status: int) -> None:
        deadline = time.monotonic() + 30
        # Each worker reads the file by itself: ten answers are very likely of both.
        count = 0
        while count < 10:
            matches = secured.ask("GET", "/symbols", key).status_code == status
            count = count + 1 if matches else 0
            assert time.monotonic() < deadline

    until(200)
    assert command(secured.file, "list").splitlines() == [
        "desk  predict",
        "root  admin",
        "guest  predict",
    ]
    command(secured.file, "remove", "guest")
    until(401)


def numbers(secured: Secured) -> dict[str, dict[tuple[str, ...], float]]:
    answer = secured.ask("GET", "/metrics", secured.admin)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return samples


def test_metrics_are_of_all_workers_and_outlive_one(secured: Secured, models: Path) -> None:
    model = load(models).models["short"]
    before = numbers(secured)
    for _ in range(30):
        assert secured.ask("POST", "/predict/short", secured.desk).status_code == 200
    assert secured.ask("POST", "/predict/shrt", secured.desk).status_code == 404
    rows = written(table(model, 500))
    path = "/batch-predict?horizon=short"
    sent = secured.ask("POST", path, secured.desk, content=rows, headers=HEADERS)
    assert sent.status_code == 200
    after = numbers(secured)

    def grown(name: str, *labels: str) -> float:
        return after[name][labels] - before.get(name, {}).get(labels, 0)

    pid = _workers(secured)[0]
    assert grown("serve_predictions_total", "short", model.md5) == 530
    assert grown("serve_requests_total", "POST", "/predict/short", "200") == 30
    assert grown("serve_request_duration_seconds_count", "/predict/short") == 30
    assert after["serve_errors_total"]["/predict/{symbol}", "unknown-symbol"] >= 1
    assert after["serve_bundle_age_seconds"][()] > 0
    # Each worker reports it once a second.
    wait_for(lambda: numbers(secured)["serve_prediction_log_queue"][()] == 0, 10)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(_workers(secured)) == 3)
    count = numbers(secured)["serve_predictions_total"]["short", model.md5]
    assert count == after["serve_predictions_total"]["short", model.md5]


def _workers(secured: Secured) -> list[int]:
    """Those that have started, the oldest first."""
    return [
        int(pid)
        for pid in re.findall(r"Started server process \[(\d+)\]", secured.server.log_text())
    ]


def test_every_line_of_the_log_is_json_and_none_has_a_secret(secured: Secured) -> None:
    requests = {
        "with-a-query": ("/predictions?symbol=hidden-in-query", secured.desk),
        "of-this-test": ("/symbols", secured.desk),
        "with-no-key": ("/symbols", f"desk.{'s' * 43}"),
    }
    statuses = [
        secured.ask("GET", path, key, headers={"X-Request-Id": name}).status_code
        for name, (path, key) in requests.items()
    ]
    assert statuses == [200, 200, 401]
    # A line is written when its answer has left.
    wait_for(lambda: all(f'"{name}"' in secured.server.log_text() for name in requests), 10)
    log_text = secured.server.log_text()
    lines = [json.loads(line) for line in log_text.splitlines()]
    for secret in (secured.desk, secured.admin, "hidden-in-query", 43 * "s"):
        assert secret not in log_text
    assert all({"time", "level", "logger", "event"} <= set(line) for line in lines)
    assert any(line["logger"] == "uvicorn.error" for line in lines)
    (mine,) = [line for line in lines if line.get("request_id") == "of-this-test"]
    assert mine.pop("ms") > 0
    assert mine.pop("time")
    assert mine == {
        "level": "info",
        "logger": "serve.access",
        "event": "request",
        "request_id": "of-this-test",
        "method": "GET",
        "path": "/symbols",
        "client": "desk",
        "address": "127.0.0.1",
        "problem": None,
        "status": 200,
    }
    assert "Traceback" not in log_text


def test_a_large_body_is_refused_before_it_has_arrived(secured: Secured) -> None:
    with (
        socket.create_connection(("127.0.0.1", secured.server.port), timeout=10) as plain,
        secured.trust.wrap_socket(plain, server_hostname="localhost") as link,
    ):
        link.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer "
            + secured.desk.encode()
            + b"\r\n\r\n{"
        )
        answer = b""
        while part := link.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"the body is larger than 2,000,000 bytes (SERVE_MAX_BODY)" in answer


def test_workers_share_one_limit(models: Path, tmp_path: Path) -> None:
    with Server(models, tmp_path, WORKERS="2", RATE_LIMIT="30", LOG_LEVEL="info") as server:
        started = time.monotonic()
        # A connection each: the system gives it to whichever worker is free.
        trust = ssl.create_default_context()
        answers = [httpx2.get(f"{server.url}/symbols", verify=trust) for _ in range(60)]
        more = (time.monotonic() - started) / 2
    statuses = [answer.status_code for answer in answers]
    assert statuses[:30] == [200] * 30
    assert 30 <= statuses.count(200) <= 31 + more
    assert statuses.count(200) + statuses.count(429) == 60
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 1 <= int(refused[-1].headers["retry-after"]) <= 2
