"""The place of a log, as messages name it."""

from predictions import engine as engines


def test_no_message_has_a_password() -> None:
    url = "postgresql+psycopg://serve:one@db/log?password=two&sslpassword=three&sslmode=require"
    place = engines.place(engines.connect(url))
    assert not any(secret in place for secret in ("one", "two", "three"))
    assert "@db/log" in place
    assert "sslmode=require" in place
