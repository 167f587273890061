"""An S3 server on this machine, for those without a cloud: `rclone serve s3` on loopback.

    python -m versions.s3 start    make s3
    python -m versions.s3 stop     make s3-stop

Data, log and key are in var/s3. The server goes on in the background until it is stopped, and the
remote of this clone points at it. Starting it twice changes nothing.
"""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from stages.common.errors import StageError, VersionError
from stages.common.running import arguments, log, run
from versions.storage import faults, remote_config

FOLDER = Path("var/s3")
DATA = FOLDER / "data"
LOG = FOLDER / "rclone.log"
STATE = FOLDER / "server.json"
BUCKET = "stocks"
START_SECONDS = 30


class Server(NamedTuple):
    """Address, credentials and process of the server, as kept in `STATE`."""

    port: int
    key: str
    secret: str
    pid: int = 0

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"


def start(server: Server, lock: int) -> Server:
    """Start a server with its former key, on its former port if that is free.

    It holds the lock, an open file, for as long as it runs.

    Raises:
        VersionError: rclone is missing, or does not listen.
    """
    (DATA / BUCKET).mkdir(parents=True, exist_ok=True)
    # A server that was killed during an upload leaves its temporary file.
    for partial in DATA.rglob(".rclone_temp_put_*"):
        partial.unlink()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", server.port))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        server = server._replace(port=probe.getsockname()[1])
    rclone = Path(sys.executable).with_name("rclone")
    if not rclone.exists():
        raise VersionError("rclone is missing: run `make install`")
    address = server.endpoint.removeprefix("http://")
    with LOG.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # no shell
            [str(rclone), "serve", "s3", "--config", os.devnull, "--addr", address, str(DATA)],
            # Every user of the machine can read a command line. The quotes are those of CSV.
            env={**os.environ, "RCLONE_AUTH_KEY": f'"{server.key},{server.secret}"'},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=[lock],
        )
    server = server._replace(pid=process.pid)
    STATE.touch(mode=0o600)
    STATE.chmod(0o600)
    STATE.write_text(json.dumps(server._asdict()) + "\n", encoding="utf-8")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                return server
        time.sleep(0.05)
    process.kill()
    raise VersionError(f"rclone does not listen on {server.endpoint}: see {LOG}")


def main() -> None:
    """Start or stop the server."""
    (command,) = arguments("start|stop")
    if command not in {"start", "stop"}:
        raise StageError(f"expected start or stop, got {command}; see --help")
    server = Server(9000, secrets.token_hex(10), secrets.token_hex(20))
    try:
        if STATE.exists():
            server = Server(**json.loads(STATE.read_text(encoding="utf-8")))
    except (TypeError, ValueError):
        raise VersionError(f"{STATE} cannot be read: delete it and run `make s3` again") from None
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Unlike the number of a process, a lock never passes to another program.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            running = False
        except BlockingIOError:
            running = True
        if command == "stop":
            if running:
                os.kill(server.pid, signal.SIGTERM)
                fcntl.flock(lock, fcntl.LOCK_EX)
            log.info("s3: %s", "stopped" if running else "does not run")
            return
        server = server if running else start(server, lock.fileno())
    key = server.key, server.secret
    remote_config.assign(f"s3://{BUCKET}/cache", server.endpoint, key)
    with remote_config.opened() as remote:
        faults.check(remote)
    how = "runs already" if running else "started"
    log.info("s3: %s %s, data in %s; the remote points at it", server.endpoint, how, DATA)


if __name__ == "__main__":
    run(main)
