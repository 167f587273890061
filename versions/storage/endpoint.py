"""A real S3 endpoint on this machine: `rclone serve s3` on loopback, for those without a cloud.

Data, log, key and process id lie below `var/s3`, which git ignores.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stages.common.errors import VersionError

FOLDER = Path("var/s3")
DATA = FOLDER / "data"
LOG = FOLDER / "rclone.log"
STATE = FOLDER / "server.json"

BUCKET = "stocks"
URL = f"s3://{BUCKET}/cache"
PORT = 9000
HOST = "127.0.0.1"

PROCESSES = Path("/proc")
"""Where Linux tells of its processes."""

START_SECONDS = 30
ANSWER_SECONDS = 2
STOP_SECONDS = 10


@dataclass(frozen=True)
class Server:
    """What must be known of a server to use it and to end it."""

    port: int
    key: str
    secret: str
    pid: int | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"


def start() -> tuple[Server, bool]:
    """Have the server of this clone run; returns it, and whether it was started just now.

    Key and port stay the same from start to start, unless another program has taken the port.

    Raises:
        VersionError: rclone is missing, or does not listen.
    """
    with _alone():
        known = _known()
        if known is not None and running(known):
            return known, False
        (DATA / BUCKET).mkdir(parents=True, exist_ok=True)
        # A server that was killed in the middle of an upload leaves its temporary file.
        for half in DATA.rglob(".rclone_temp_put_*"):
            half.unlink()
        known = known or Server(PORT, secrets.token_hex(10), secrets.token_hex(20))
        deadline = time.monotonic() + START_SECONDS
        while True:
            server = replace(known, port=_free(known.port))
            process = _serve(server)
            server = replace(server, pid=process.pid)
            _remember(server)
            while process.poll() is None and time.monotonic() < deadline:
                if _takes_key(server):
                    return server, True
                time.sleep(0.05)
            process.kill()
            process.wait()
            # Another program may have taken the port since it was found to be free.
            if time.monotonic() > deadline or not _listens(server.port):
                raise VersionError(f"rclone does not listen on {server.endpoint}: see {LOG}")


def stop() -> bool:
    """End the server of this clone; returns whether there was one."""
    with _alone():
        known = _known()
        if known is None or not running(known):
            return False
        assert known.pid is not None  # noqa: S101  # `running` says so
        os.kill(known.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while running(known):
            if time.monotonic() > deadline:
                os.kill(known.pid, signal.SIGKILL)
            time.sleep(0.05)
        return True


def running(server: Server) -> bool:
    """Whether the process is there, and is ours: its number may have gone to another."""
    return server.pid is not None and f"--addr {HOST}:{server.port}" in _command(server.pid)


def _command(pid: int) -> str:
    """The command line of a process; of one that has ended, nothing that matters."""
    if (PROCESSES / "self").exists():
        # Not every Linux has `ps`: slim images of containers leave it out.
        try:
            return (PROCESSES / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            return ""
    return subprocess.run(  # noqa: S603  # no shell
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607  # by PATH
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")
    rclone = str(beside) if beside.exists() else shutil.which("rclone")
    if rclone is None:
        raise VersionError("rclone is missing: run `make install`")
    return rclone


def _serve(server: Server) -> "subprocess.Popen[bytes]":
    rclone = _rclone()
    with LOG.open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # no shell
            [
                *(rclone, "serve", "s3", "--config", os.devnull),
                *("--addr", f"{HOST}:{server.port}", str(DATA)),
            ],
            # On the command line every user of the machine could read the key; quoted as in CSV.
            env={**os.environ, "RCLONE_AUTH_KEY": f'"{server.key},{server.secret}"'},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _known() -> Server | None:
    try:
        return Server(**json.loads(STATE.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):
        raise VersionError(f"{STATE} cannot be read: delete it and run `make s3` again") from None


def _remember(server: Server) -> None:
    partial = STATE.with_name(f".{STATE.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(server)) + "\n", encoding="utf-8")
    partial.rename(STATE)


@contextmanager
def _alone() -> Iterator[None]:
    """Let no second start or stop begin before this one is done."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _takes_key(server: Server) -> bool:
    """Whether it is our server that answers, and not the one of another who was quicker."""
    if not _listens(server.port):
        return False
    words = ("lsd", ":s3:", "--config", os.devnull, "--retries", "1", "--low-level-retries", "1")
    settings = {
        "RCLONE_S3_PROVIDER": "Rclone",
        "RCLONE_S3_ENDPOINT": server.endpoint,
        "RCLONE_S3_ACCESS_KEY_ID": server.key,
        "RCLONE_S3_SECRET_ACCESS_KEY": server.secret,
        "RCLONE_CONTIMEOUT": f"{ANSWER_SECONDS}s",
        "RCLONE_TIMEOUT": f"{ANSWER_SECONDS}s",
    }
    asked = subprocess.run(  # noqa: S603  # no shell
        (_rclone(), *words), env={**os.environ, **settings}, capture_output=True, check=False
    )
    return asked.returncode == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free(wish: int) -> int:
    """The port that is wished for, or if it is taken one that is free."""
    for port in (wish, 0):
        with socket.socket() as probe:
            # A port that a former server has just left counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise VersionError(f"no port is free on {HOST}")
