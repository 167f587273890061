"""Keys: what is stored reveals no key, and only the right key opens."""

import os
import stat
from pathlib import Path

import pytest

from serve.edge import keyring
from serve.edge.keyring import Keyring, KeysError


def test_only_the_very_key_is_found() -> None:
    secret, key = keyring.make("desk", ["predict"])
    other, _ = keyring.make("desk", ["predict"])
    ring = Keyring(str(key))
    assert ring.find(secret.encode()) == key
    for wrong in (other, secret[:-1], f"{secret}x", secret.replace("desk", "disk"), "", "desk."):
        assert ring.find(wrong.encode()) is None
    assert ring.find(b"\xff\x00") is None


def test_what_is_kept_differs_each_time_and_holds_no_secret() -> None:
    secret, key = keyring.make("desk", ["label", "predict"])
    assert len(secret.partition(".")[2]) == 43
    assert secret.partition(".")[2] not in str(key)
    assert keyring.make("desk", ["predict"])[1].salt != key.salt
    assert str(key).startswith("desk:predict,label:blake2b:")
    assert keyring.parse([str(key)], "here") == {"desk": key}


def test_admin_may_do_everything_others_only_their_own() -> None:
    admin, label = (keyring.make("x", [role])[1] for role in ("admin", "label"))
    assert all(admin.allows(role) for role in keyring.ROLES)
    assert [role for role in keyring.ROLES if label.allows(role)] == ["label"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sesame", "SERVE_KEYS: entry 1 is not a key; make one with `python -m serve keys add`"),
        ("a:root:blake2b:" + 32 * "0" + ":" + 64 * "0", "entry 1 is not a key"),
    ],
)
def test_what_is_no_key_is_refused_and_not_repeated(text: str, expected: str) -> None:
    with pytest.raises(KeysError) as raised:
        Keyring(text)
    assert expected in str(raised.value)
    assert "sesame" not in str(raised.value)


def test_a_name_comes_once() -> None:
    first, second = (keyring.make("desk", ["predict"])[1] for _ in range(2))
    with pytest.raises(KeysError, match="SERVE_KEYS: has two keys named desk"):
        Keyring(f"{first} {second}")
    with pytest.raises(KeysError, match=r"'a\.b' cannot be the name"):
        keyring.make("a.b", ["predict"])


def test_the_file_is_followed_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    first, second = (keyring.make(name, ["predict"]) for name in ("one", "two"))
    keyring.write(path, [first[1]])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = Keyring("", path)
    assert not ring.refresh()
    path.write_text(f"# of the desk\n{first[1]}\n", encoding="utf-8")
    keyring.write(path, [first[1], second[1]])
    assert path.read_text(encoding="utf-8").startswith("# of the desk\n")
    assert ring.refresh()
    assert ring.find(second[0].encode()) == second[1]
    path.write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(KeysError, match="entry 1 is not a key"):
        ring.refresh()
    assert not ring.refresh()
    assert ring.find(first[0].encode()) == first[1]
    keyring.write(path, [second[1]])
    assert ring.refresh()
    assert ring.find(first[0].encode()) is None


def test_an_empty_file_lets_nobody_in_and_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(KeysError, match=r"^SERVE_KEYS_FILE=.*keys: no such file or directory$"):
        Keyring("", path)
    path.touch()
    os.utime(path, (0, 0))
    ring = Keyring("", path)
    assert ring.required
    assert ring.find(b"") is None
    assert ring.find(b".") is None
