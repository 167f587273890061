"""Who may look, who may act, and where a key is needed."""

import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import serve.server_settings
from dashboard import __main__ as command
from dashboard import dashboard_settings, sign_in
from dashboard.dashboard_settings import DashboardError, Settings
from dashboard.server_client import Server
from dashboard.sign_in import SignInError, Viewer, holder, required
from serve.edge.keyring import Keyring, make, write

READER, READS = make("desk", ["predict"])
LABELLER, LABELS = make("labels", ["label"])
ADMIN, ADMINISTERS = make("operations", ["admin"])
KEYS = Keyring("\n".join(map(str, (READS, LABELS, ADMINISTERS))))


def test_a_reader_may_look_and_an_administrator_may_act() -> None:
    assert holder(KEYS, READER) == Viewer("desk", READER, may_act=False)
    assert holder(KEYS, ADMIN) == Viewer("operations", ADMIN, may_act=True)


@pytest.mark.parametrize(
    "secret",
    ["", "desk", "desk.wrong", LABELLER, READER + " "],
    ids=["none", "a name", "a wrong secret", "another role", "one letter more"],
)
def test_no_one_else_gets_in(secret: str) -> None:
    assert holder(KEYS, secret) is None


def test_only_this_machine_is_asked_for_no_key() -> None:
    assert not required(Keyring(), "127.0.0.1", {})
    assert not required(Keyring(), "localhost", {})
    for host in ("0.0.0.0", "::", "192.168.1.7", "", "None", "desk.example.org"):
        assert required(Keyring(), host, {})
    assert required(KEYS, "127.0.0.1", {})


@pytest.mark.parametrize(
    ("headers", "needs_key"),
    [
        ({"Host": "127.0.0.1:8501"}, False),
        ({"Host": "LOCALHOST:9"}, False),
        ({"Host": "[::1]:8501"}, False),
        ({"Host": "evil.example:8501"}, True),
        ({"Host": "localhost.evil.example"}, True),
        ({"Host": "127.0.0.1@evil.example"}, True),
        ({"Host": "[evil"}, True),
        ({"Host": "127.0.0.1:8501", "X-Forwarded-For": "10.0.0.4"}, True),
    ],
)
def test_a_page_of_another_site_or_a_proxy_is_another_machine(
    headers: Mapping[str, str], needs_key: bool
) -> None:
    assert required(Keyring(), "127.0.0.1", headers) is needs_key


def test_a_page_that_is_open_ends_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys"
    write(path, [ADMINISTERS])
    keys = Keyring(path=path)
    monkeypatch.setattr(sign_in, "keyring", lambda: keys)
    viewer = holder(keys, ADMIN)
    assert viewer is not None
    sign_in.check(viewer, acts=True)
    write(path, [replace(ADMINISTERS, roles=frozenset({"predict"}))])
    sign_in.check(viewer)
    with pytest.raises(SignInError, match="operations may not act"):
        sign_in.check(viewer, acts=True)
    write(path, [READS])
    with pytest.raises(SignInError, match="operations was removed"):
        sign_in.check(viewer)


def test_where_no_keys_are_the_viewer_of_this_machine_may_go_on() -> None:
    sign_in.check(Viewer("ada", "", may_act=True), acts=True)


def test_a_secret_is_not_in_what_a_log_would_have_of_a_viewer() -> None:
    text = f"{holder(KEYS, ADMIN)} {Server('http://127.0.0.1:9', ADMIN, httpx.Client())}"
    assert "operations" in text
    assert ADMIN not in text


def test_it_does_not_listen_to_other_machines_without_keys() -> None:
    with pytest.raises(DashboardError) as raised:
        command.check(Settings(host="0.0.0.0"), serve.server_settings.Settings())
    assert "DASHBOARD_HOST=0.0.0.0" in str(raised.value)
    assert "serve keys add" in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "", "::1", "::"])
def test_every_kind_of_address_can_be_listened_on(tmp_path: Path, host: str) -> None:
    addresses = Path("/proc/net/if_inet6")
    if ":" in host and not (addresses.exists() and addresses.read_text()):
        pytest.skip("this machine has no IPv6")
    write(tmp_path / "keys", [READS])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command.check(
        Settings(host=host, port=port), serve.server_settings.Settings(keys_file=tmp_path / "keys")
    )


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(DashboardError) as raised:
            command.check(Settings(port=port), serve.server_settings.Settings())
    assert f"DASHBOARD_PORT={port}" in str(raised.value)


def test_settings_come_from_the_environment_and_mistakes_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHBOARD_PORT", "9000")
    (tmp_path / ".env").write_text("DASHBOARD_SERVER=https://desk.example.org\n")
    settings = dashboard_settings.load()
    assert (settings.port, settings.host) == (9000, "127.0.0.1")
    assert dashboard_settings.server_url(settings, serve.server_settings.Settings()) == (
        "https://desk.example.org"
    )
    monkeypatch.setenv("DASHBOARD_SERVER", "https://ada:secret@desk.example.org")
    with pytest.raises(DashboardError, match=r"DASHBOARD_SERVER.*https://host:8000") as raised:
        dashboard_settings.load()
    assert "secret" not in str(raised.value)
    monkeypatch.delenv("DASHBOARD_SERVER")
    monkeypatch.setenv("DASHBOARD_PORT", "many")
    with pytest.raises(DashboardError) as raised:
        dashboard_settings.load()
    assert "DASHBOARD_PORT=many" in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0", "port": 9}, "http://127.0.0.1:9"),
        ({"host": "10.0.0.4"}, "http://10.0.0.4:8000"),
        ({"tls_certificate": Path("x")}, "https://127.0.0.1:8000"),
    ],
)
def test_it_asks_the_server_of_the_same_settings(settings: dict[str, object], url: str) -> None:
    server = serve.server_settings.Settings(**settings)  # type: ignore[arg-type]  # pydantic checks
    assert dashboard_settings.server_url(Settings(), server) == url
