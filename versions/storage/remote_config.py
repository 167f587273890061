"""The default DVC remote: where it is, and which file says so.

`.dvc/config` names the remote, and `.dvc/config.local` of each clone says where it is.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.common.errors import VersionError

LOCAL = Path(".dvc/config.local")
SHARED = Path(".dvc/config")

UNSET = "(unset - run make remote)"
"""The bucket in `.dvc/config`. No bucket can have this name, so nothing goes to a stranger's."""

KEYS = ("access_key_id", "secret_access_key")
"""The credentials among DVC's settings; without them those of the environment apply."""

_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#]*)?")
_ENDPOINT = re.compile(r"https?://[^/?#\s]+/?")


@dataclass(frozen=True)
class Remote:
    """The default remote of an open project.

    Attributes:
        repo: the `dvc.repo.Repo`.
        settings: the settings of the remote, those of `config.local` above those of `config`.
        local: the settings of `config.local` alone.
    """

    repo: Any
    settings: Mapping[str, Any]
    local: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Its URL, such as `s3://bucket/path`."""
        return str(self.settings["url"])

    @property
    def is_s3(self) -> bool:
        """Whether it is an S3 bucket."""
        return self.url.startswith("s3://")

    @property
    def server(self) -> str:
        """The URL of the S3 server, found as boto finds it."""
        name = self._endpoint_variable
        return self.settings.get("endpointurl") or (os.environ[name] if name else "AWS S3")

    @property
    def _endpoint_variable(self) -> str | None:
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        return next((name for name in names if os.environ.get(name)), None)

    @cached_property
    def objects(self) -> Any:
        """DVC's object store in the remote, a `dvc_data.hashfile.db.HashFileDB`."""
        return self.repo.cloud.get_remote_odb()

    @cached_property
    def probe(self) -> Any:
        """A second S3 client, with connections of its own, which asks only once."""
        filesystem = self.objects.fs
        once = filesystem.fs_args["config_kwargs"] | {"retries": {"max_attempts": 0}}
        client = type(filesystem.fs)(**filesystem.fs_args | {"config_kwargs": once})
        client.retries = 1
        return client

    def place(self, setting: str) -> str:
        """A setting and the file or variable to change it in, with its value unless it is a key."""
        value = self.settings.get(setting)
        if value is None and setting in KEYS:
            return f"AWS_{setting.upper()}"
        if value is None:
            name = self._endpoint_variable if setting == "endpointurl" else None
            return f"{name} ({self.server})" if name else setting
        suffix = "" if setting in KEYS else f" ({value})"
        return f"{setting}{suffix} in {LOCAL if setting in self.local else SHARED}"


@contextmanager
def opened(folder: Path | None = None) -> Iterator[Remote]:
    """The default remote of the project in a folder, by default the working folder.

    Raises:
        VersionError: there is no project or no default remote, DVC cannot read its settings, or no
            bucket is set.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder or os.curdir)) as repo:
            name = repo.config["core"].get("remote")
            settings = repo.config["remote"].get(name)
            if settings is None:
                raise VersionError(
                    "no default remote is set: `dvc remote add --default NAME URL` sets one, "
                    f"`git checkout {SHARED}` restores that of the project"
                )
            if UNSET in settings["url"]:
                raise VersionError(
                    "no bucket is set: `make remote URL=s3://bucket/path` (with ENDPOINT=https://..."
                    " if it is not AWS), or `make s3` for a server on this machine"
                )
            yield Remote(repo, settings, repo.config.load_one("local")["remote"].get(name, {}))
    except DvcException as error:
        raise VersionError(f"DVC: {error}") from None


def assign(url: str, endpoint: str | None, key: tuple[str, str] | None = None) -> None:
    """Write the place of the remote to `.dvc/config.local`, in place of the former one.

    Args:
        url: `s3://bucket/path`.
        endpoint: `https://host:port` of a server other than AWS.
        key: key id and secret, for a server whose credentials belong to this clone.

    Raises:
        VersionError: the URL or the endpoint is malformed.
    """
    from dvc.config import Config

    if _URL.fullmatch(url) is None:
        raise VersionError(f"URL must be s3://bucket/path, got {url!r}")
    if endpoint is not None and _ENDPOINT.fullmatch(endpoint) is None:
        raise VersionError(f"ENDPOINT must be http(s)://host[:port], got {endpoint!r}")
    values = (url, endpoint, *(key or (None, None)))
    config = Config(str(SHARED.parent))
    with config.edit("local") as content:
        section = content["remote"].setdefault(config["core"].get("remote") or "storage", {})
        for name, value in zip(("url", "endpointurl", *KEYS), values, strict=True):
            section.pop(name, None)
            if value is not None:
                section[name] = value
    LOCAL.chmod(0o600)
