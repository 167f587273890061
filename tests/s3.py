"""A real S3 endpoint on loopback for one test: rclone serves a folder, a bucket is a sub-folder."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests import forks

RCLONE = Path(sys.executable).with_name("rclone")


class S3:
    """A server of one test, which the test may kill and start again.

    Attributes:
        folder: what is served; objects are files below `folder / bucket`.
        bucket: the bucket that is there from the start.
    """

    key = "tests"
    secret = "secret-of-the-tests"  # noqa: S105  # of a server that lives for one test
    bucket = "stocks"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / self.bucket).mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        forks.keep_service_models()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The credentials, as boto reads them; no file of the user is asked."""
        # dvc-s3 takes a file that is missing for an empty one, and refuses /dev/null.
        nothing = str(self.folder.with_name("no-such-file"))
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": nothing,
            "AWS_SHARED_CREDENTIALS_FILE": nothing,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def objects(self) -> dict[str, Path]:
        """The files of the bucket by key."""
        root = self.folder / self.bucket
        return {
            str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()
        }

    def start(self) -> None:
        """Serve, and return once it answers."""
        self._process = subprocess.Popen(
            [
                *(str(RCLONE), "serve", "s3", "--config", os.devnull),
                *("--addr", f"127.0.0.1:{self.port}"),
                *("--auth-key", f"{self.key},{self.secret}", str(self.folder)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "rclone ended"
            time.sleep(0.05)
        raise TimeoutError("rclone does not listen")

    def kill(self) -> None:
        """End it as a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it stand still in the middle of what it does, and then go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=300)
            self._process = None
