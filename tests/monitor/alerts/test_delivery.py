"""Messages through real servers: well, away, slow, refusing, and none of their secrets told."""

import io
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from apprise.plugins import pagerduty
from apprise.plugins.slack import NotifySlack

from monitor.alerts import delivery, outbox, sender
from monitor.alerts.delivery import Limits
from monitor.alerts.outbox import Message, Outbox
from monitor.settings import Settings
from tests.monitor.receivers import Receiver, closed_port, mailbox, receiver

NOW = datetime(2013, 1, 2, 12, tzinfo=UTC)
QUICK = Limits(retries=1, pause=300, seconds=10)
SESAME = "sesame-d41d8cd98f"


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def url_of(server: Receiver) -> str:
    return f"json://user:{SESAME}@{server.url}/{SESAME}?+X-Token={SESAME}"


def message(number: int, *urls: str, kind: str = "begin", title: str = "") -> Message:
    return Message(
        id=f"{number}:{kind}",
        episode=str(number),
        rule="disk",
        kind=kind,  # type: ignore[arg-type]
        severity="WARNING",
        title=title or f"WARNING disk {number}",
        body="5 % free\nsince then",
        created_at=NOW,
        waiting=[outbox.key_of(url) for url in urls],
    )


def deliver(box: Outbox, *urls: str, now: datetime = NOW, limits: Limits = QUICK) -> list[str]:
    return delivery.deliver(
        box, {outbox.key_of(url): url for url in urls}, now, limits, lambda: None
    )


def test_a_webhook_gets_title_body_and_kind(server: Receiver) -> None:
    url = url_of(server)
    box = Outbox(messages=[message(1, url), message(2, url, title="ended: WARNING disk")])
    assert deliver(box, url) == []
    assert box.messages == []
    (path, first), (_, second) = server.posts
    assert path == f"/{SESAME}"
    assert (first["title"], first["type"]) == ("WARNING disk 1", "warning")
    assert "5 % free" in first["message"]
    assert (second["title"], second["type"]) == ("ended: WARNING disk", "success")


def test_slack_gets_its_own_form(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{server.url}/services")
    url = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts"
    assert sender.send(url, "CRITICAL models", "missing: model.onnx", "CRITICAL") is None
    ((path, body),) = server.posts
    assert path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert "missing: model.onnx" in str(body)
    server.status = 403
    problem = sender.send(url, "CRITICAL models", "x", "CRITICAL")
    assert problem is not None
    assert "403" in problem
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in problem


def test_pagerduty_gets_its_own_form(server: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = dict.fromkeys(pagerduty.PAGERDUTY_API_LOOKUP, f"http://{server.url}/enqueue")
    monkeypatch.setattr(pagerduty, "PAGERDUTY_API_LOOKUP", lookup)
    server.status = 202
    url = f"pagerduty://{SESAME}@{SESAME}"
    assert sender.send(url, "CRITICAL models", "missing: model.onnx", "CRITICAL") is None
    ((path, body),) = server.posts
    assert path == "/enqueue"
    assert body["payload"]["severity"] == "critical"
    assert "CRITICAL models" in body["payload"]["summary"]


def test_mail_arrives() -> None:
    with mailbox() as (box, port):
        url = (
            f"mailto://127.0.0.1:{port}?from=monitor@example.org&to=desk@example.org&mode=insecure"
        )
        assert sender.send(url, "CRITICAL models", "missing: model.onnx", "CRITICAL") is None
    (mail,) = box.mails
    assert mail["Subject"] == "CRITICAL models"
    assert "desk@example.org" in mail["To"]
    assert "missing: model.onnx" in str(mail)


def test_a_refused_message_is_sent_again_and_then_left_alone(server: Receiver) -> None:
    url = url_of(server)
    server.status = 500
    box = Outbox(messages=[message(1, url), message(2, url)])
    (problem,) = deliver(box, url, limits=Limits(2, 300, 10))
    assert "500" in problem
    # Three tries of the first; the second waits.
    assert server.titles == ["WARNING disk 1"] * 3
    assert len(box.messages) == 2
    # In the pause nothing is tried, whatever restarted meanwhile.
    box = Outbox.model_validate_json(box.model_dump_json())
    assert deliver(box, url, now=NOW + timedelta(seconds=299)) == []
    assert len(server.posts) == 3
    # After it once, and the pause begins again.
    deliver(box, url, now=NOW + timedelta(seconds=300), limits=Limits(2, 300, 10))
    assert len(server.posts) == 4
    assert next(iter(box.channels.values())).failures == 2
    server.status = 200
    assert deliver(box, url, now=NOW + timedelta(seconds=600)) == []
    assert server.titles[4:] == ["WARNING disk 1", "WARNING disk 2"]
    assert (box.messages, box.channels) == ([], {})


def test_a_clock_that_goes_back_leaves_no_channel_alone_for_long(server: Receiver) -> None:
    url = url_of(server)
    server.status = 500
    box = Outbox(messages=[message(1, url)])
    deliver(box, url)
    server.status = 200
    assert deliver(box, url, now=NOW - timedelta(days=2)) == []
    assert box.messages == []


def test_a_slow_or_absent_channel_keeps_no_other_waiting(server: Receiver) -> None:
    with receiver() as slow:
        slow.delay = 8
        good, late, away = url_of(server), url_of(slow), f"json://127.0.0.1:{closed_port()}"
        box = Outbox(messages=[message(1, late, good, away)])
        began = time.monotonic()
        problems = deliver(box, late, good, away, limits=Limits(0, 300, 1.5))
        took = time.monotonic() - began
        assert server.titles == ["WARNING disk 1"]
    assert took < 3
    assert len(problems) == 2
    assert any("1 (json)" in problem and "1.5 s" in problem for problem in problems)
    assert any("3 (json)" in problem for problem in problems)
    (waits,) = box.messages
    assert waits.taken_at == NOW
    assert waits.waiting == [outbox.key_of(late), outbox.key_of(away)]


def test_a_mail_server_that_says_nothing_costs_a_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org&mode=insecure"
        box = Outbox(messages=[message(1, url)])
        began = time.monotonic()
        (problem,) = deliver(box, url, limits=Limits(0, 300, 1))
        assert time.monotonic() - began < 3
    assert "1 s" in problem


@pytest.mark.parametrize(
    "url",
    [
        f"json://user:{SESAME}@127.0.0.1:1/{SESAME}",
        f"mailto://user:{SESAME}@127.0.0.1:1?from=a@b.org&to=c@d.org&mode=insecure",
        f"nonsense://{SESAME}",
        f"slack://{SESAME}",
        SESAME,
        f"pagerduty://{SESAME}",
    ],
)
def test_no_secret_is_told(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    # As `run` sets logging up; caplog also hears loggers that give nothing to the root.
    logs = io.StringIO()
    handler = logging.StreamHandler(logs)
    logging.getLogger().addHandler(handler)
    try:
        box = Outbox(messages=[message(1, url)])
        problems = deliver(box, url, limits=Limits(0, 300, 6))
    finally:
        logging.getLogger().removeHandler(handler)
    streams = capfd.readouterr()
    settings = Settings(alert_urls=url)
    texts = (logs.getvalue(), streams.out, streams.err, box.model_dump_json(), repr(settings))
    assert problems
    for text in (*problems, *texts):
        assert SESAME not in text


def test_parts_of_a_url_are_taken_out_of_what_apprise_says() -> None:
    url = f"json://me%40home:{SESAME}@127.0.0.1:{closed_port()}/hooks/{SESAME}"
    problem = sender.send(url, "INFO x", "y", "INFO")
    assert problem is not None
    # Apprise names the host.
    assert "***" in problem
    assert "127.0.0.1" not in problem
    text = sender.scrubbed(f"me@home at hooks with {SESAME} or me%40home: no", url)
    for part in ("home", "hooks", SESAME):
        assert part not in text
    assert text.endswith("no")


def test_a_test_message_goes_to_each_channel(server: Receiver) -> None:
    urls = [url_of(server), f"json://127.0.0.1:{closed_port()}"]
    took, failed = delivery.try_out(urls)
    assert took is None
    assert failed is not None
    assert len(server.posts) == 1
    with receiver() as slow:
        slow.delay = 5
        assert delivery.try_out([url_of(slow)], 0.3) == ["no answer for 0.3 s"]
