"""The S3 remote of the DVC cache: what it is set to, and where.

Settings are DVC's own: `.dvc/config` names the remote, `.dvc/config.local` of each clone says
where it is.
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
"""The bucket in `.dvc/config`: no bucket can have this name, so nothing is sent to a stranger's."""

KEYS = ("access_key_id", "secret_access_key")
"""The credentials in DVC's settings of a remote; without them those of the environment hold."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Variables that say where the server is, if no setting does."""

_URL = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<path>[^?#]*))?")
_ENDPOINT = re.compile(r"https?://[^/?#\s]+/?")


@dataclass(frozen=True)
class Remote:
    """The default remote as DVC sees it; made by `opened`.

    Attributes:
        name: in DVC's settings.
        settings: of it, `config.local` before `config`.
        local: those of `config.local` alone.
        repo: DVC's view of the project.
    """

    name: str
    settings: Mapping[str, Any]
    local: Mapping[str, Any]
    repo: Any

    @property
    def bucket(self) -> str:
        """The bucket of the url."""
        return str(self.settings["url"]).removeprefix("s3://").partition("/")[0]

    @property
    def endpoint(self) -> str | None:
        """The address of the server; None for AWS."""
        found = self.settings.get("endpointurl") or os.environ.get(self._endpoint_variable or "")
        return None if found is None else str(found)

    @property
    def _endpoint_variable(self) -> str | None:
        """The variable that says where the server is, as boto chooses it."""
        return next((name for name in ENDPOINTS if os.environ.get(name)), None)

    @cached_property
    def objects(self) -> Any:
        """DVC's object store in the bucket."""
        store = self.repo.cloud.get_remote(self.name).odb
        # Below it botocore tries five times; five times that would be minutes of silence.
        store.fs.fs.retries = 1
        return store

    def place(self, setting: str) -> str:
        """A setting with its value and the place to change it."""
        value = self.settings.get(setting)
        if value is None and setting == "endpointurl" and self._endpoint_variable:
            return f"{self._endpoint_variable} ({self.endpoint})"
        if value is None:
            return setting
        return f"{setting} ({value}) in {LOCAL if setting in self.local else SHARED}"

    def credential(self, setting: str) -> str:
        """A credential by the name and place that it has here; never its value."""
        if self.settings.get(setting) is not None:
            return f"{setting} in {LOCAL if setting in self.local else SHARED}"
        return f"AWS_{setting.upper()}"


@contextmanager
def opened() -> Iterator[Remote]:
    """The default remote of the project in the working folder.

    Raises:
        VersionError: there is no project or no default remote here, DVC cannot read its settings,
            or no bucket is set.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(os.curdir) as repo:
            yield of(repo)
    except DvcException as error:
        raise VersionError(f"DVC: {error}") from None


def of(repo: Any) -> Remote:
    """The default remote of a project that is open already.

    Raises:
        VersionError: it has none, it is no S3, or no bucket is set.
    """
    name = repo.config["core"].get("remote")
    settings = repo.config["remote"].get(name)
    if settings is None:
        raise VersionError(
            f"{SHARED} names no default remote; restore `remote` below [core] from git"
        )
    if UNSET in settings["url"]:
        raise VersionError(
            "no bucket is set: `make remote URL=s3://bucket/path` (with ENDPOINT=https://..."
            " if it is not AWS), or `make s3` for a server on this machine"
        )
    if not is_s3(settings["url"]):
        raise VersionError(
            f"url ({settings['url']}) of the remote is no s3://bucket/path: `make remote`"
            " and its company speak S3 only, use `dvc push` and `dvc pull`"
        )
    local = repo.config.load_one("local")["remote"].get(name, {})
    return Remote(name, settings, local, repo)


def is_s3(url: object) -> bool:
    """Whether a url of DVC's settings is one of S3."""
    return str(url).startswith("s3://")


def assign(url: str, endpoint: str | None, key: tuple[str, str] | None = None) -> None:
    """Write where the remote is into `.dvc/config.local`, which git ignores.

    What is not given is removed, so that no setting of a former server stays.

    Args:
        url: `s3://bucket/path`.
        endpoint: `https://host:port` of a server that is not AWS.
        key: id and secret, for a server whose credentials live with the clone.

    Raises:
        VersionError: url or endpoint are none.
    """
    from dvc.config import Config

    if _URL.fullmatch(url) is None:
        raise VersionError(f"URL must be s3://bucket/path, got {url!r}")
    if endpoint is not None and _ENDPOINT.fullmatch(endpoint) is None:
        raise VersionError(f"ENDPOINT must be http(s)://host[:port], got {endpoint!r}")
    config = Config(str(SHARED.parent))
    with config.edit("local") as content:
        section = content["remote"].setdefault(config["core"].get("remote") or "storage", {})
        kept = {
            name: value
            for name, value in section.items()
            if name not in {"url", "endpointurl", *KEYS}
        }
        section.clear()
        section.update(kept, url=url)
        if endpoint is not None:
            section["endpointurl"] = endpoint
        if key is not None:
            section.update(zip(KEYS, key, strict=True))
    LOCAL.chmod(0o600)
