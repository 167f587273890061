"""The S3 remote of the DVC cache: what it is set to, and what is wrong with it, in one line.

Settings are DVC's own: `.dvc/config` names the remote, `.dvc/config.local` of each clone says
where it is. Every fault names the setting to look at and where it was found.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stages.errors import VersionError

LOCAL = Path(".dvc/config.local")
SHARED = Path(".dvc/config")

UNSET = "(unset - run make remote)"
"""The bucket in `.dvc/config`: no bucket can have this name, so nothing is sent to a stranger's."""

KEYS = ("access_key_id", "secret_access_key")
"""The credentials in DVC's settings of a remote; without them those of the environment hold."""

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10
"""How long the remote may take to answer whether it is there."""

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
        for found in (
            self.settings.get("endpointurl"),
            os.environ.get("AWS_ENDPOINT_URL_S3"),
            os.environ.get("AWS_ENDPOINT_URL"),
        ):
            if found:
                return str(found)
        return None

    @cached_property
    def objects(self) -> Any:
        """DVC's object store in the bucket."""
        return self.repo.cloud.get_remote(self.name).odb

    def place(self, setting: str) -> str:
        """A setting with its value and the place to change it."""
        value = self.settings.get(setting)
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
            if not str(settings["url"]).startswith("s3://"):
                raise VersionError(
                    f"url ({settings['url']}) of the remote is no s3://bucket/path: `make remote`"
                    " and its company speak S3 only, use `dvc push` and `dvc pull`"
                )
            local = repo.config.load_one("local")["remote"].get(name, {})
            yield Remote(name, settings, local, repo)
    except DvcException as error:
        raise VersionError(f"DVC: {error}") from None


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


def fault(remote: Remote) -> str | None:
    """The line of `check`; None if the remote answers."""
    try:
        check(remote)
    except VersionError as error:
        return str(error)
    return None


def check(remote: Remote) -> None:
    """Ask for one name in the bucket, without a second try.

    Bounded by `CONNECT_SECONDS` and `ANSWER_SECONDS`.

    Raises:
        VersionError: what keeps the remote from being read, with the setting to look at.
    """
    prefix = str(remote.settings["url"]).removeprefix("s3://").partition("/")[2]
    with explaining(remote):
        _client(remote).call_s3("list_objects_v2", Bucket=remote.bucket, Prefix=prefix, MaxKeys=1)


@contextmanager
def explaining(remote: Remote) -> Iterator[None]:
    """Turn an error of the S3 client into one line.

    Raises:
        VersionError: see `explain`.
    """
    try:
        yield
    except VersionError:
        raise
    except Exception as error:  # boto, s3fs, aiohttp and ssl each have their own
        raise VersionError(explain(remote, error)) from error


def _client(remote: Remote) -> Any:
    """A file system with the settings of DVC's own, but short of patience."""
    filesystem = remote.objects.fs
    settings = dict(filesystem.fs_args)
    settings["config_kwargs"] = {
        **settings.get("config_kwargs", {}),
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "retries": {"max_attempts": 0},
    }
    client = type(filesystem.fs)(**settings)
    client.retries = 1
    return client


def explain(remote: Remote, error: BaseException) -> str:
    """One line for an error of the S3 client, with the setting to look at."""
    chain = list(_chain(error))
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    names |= set(map(_code, chain))
    key, secret = map(remote.credential, KEYS)
    server = remote.endpoint or "AWS S3"
    url, endpoint = remote.place("url"), remote.place("endpointurl")
    said = " ".join(f"{type(error).__name__}: {error}".split())
    lines = {
        _NO_KEY: f"no credentials for {server}: set {key} and {secret}",
        _WRONG_KEY: f"{server} does not know the key: look at {key}",
        _WRONG_SECRET: f"{server} refuses the signature: look at {secret}",
        _OVER: f"{server} takes the session for over: look at AWS_SESSION_TOKEN",
        _DENIED: f"{server} denies access to bucket {remote.bucket}: look at {key}, at the bucket's"
        f" policy and at {url}",
        _NO_BUCKET: f"{server} has no bucket {remote.bucket}: create it, or look at {url}",
        _REGION: f"bucket {remote.bucket} is in another region: look at AWS_DEFAULT_REGION",
        _CLOCK: f"the clock of this machine differs from that of {server}: set it",
        _NO_TLS: f"no TLS with {server}: look at https or http in {endpoint}, and at ssl_verify",
        _GONE: f"{server} does not answer: {_start(remote)}look at {endpoint} and at the network",
    }
    return next(
        (line for kind, line in lines.items() if kind & names),
        f"{server} cannot be used ({said}): look at {endpoint} and {url}",
    )


def _start(remote: Remote) -> str:
    local = remote.endpoint is not None and remote.endpoint.startswith("http://127.0.0.1:")
    return "start it (`make s3` for that of this clone), or " if local else ""


# Error codes of S3 and names of exceptions, from the special to the general.
_NO_KEY = frozenset({"NoCredentialsError", "PartialCredentialsError"})
_WRONG_KEY = frozenset({"InvalidAccessKeyId"})
_WRONG_SECRET = frozenset({"SignatureDoesNotMatch"})
_OVER = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_DENIED = frozenset({"AccessDenied", "AllAccessDisabled", "403", "Forbidden"})
_NO_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName", "404"})
_REGION = frozenset({"PermanentRedirect", "AuthorizationHeaderMalformed"})
_CLOCK = frozenset({"RequestTimeTooSkewed"})
_NO_TLS = frozenset({"SSLError"})
_GONE = frozenset(
    {
        *("EndpointConnectionError", "ConnectionError", "ConnectionClosedError"),
        *("ConnectTimeoutError", "ReadTimeoutError", "TimeoutError", "FSTimeoutError"),
        *("HTTPClientError", "ClientPayloadError"),
    }
)
_CONTRADICTION = frozenset({"FlexibleChecksumError", "InvalidRange"})


def contradicts_itself(error: BaseException) -> bool:
    """Whether the server keeps another checksum or size of an object than that of its bytes."""
    return any(
        type(link).__name__ in _CONTRADICTION or _code(link) in _CONTRADICTION
        for link in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _code(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))
