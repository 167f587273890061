"""What keeps a remote from being used: one line each, with the setting to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import getproxies_environment, proxy_bypass

from stages.common.errors import VersionError
from versions.storage.remote_config import KEYS, Remote

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10
"""How long the remote may take to answer whether it is there."""


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
        answer = _client(remote).call_s3(
            "list_objects_v2", Bucket=remote.bucket, Prefix=prefix, MaxKeys=1
        )
    if not _LISTING & set(answer):
        raise VersionError(
            f"{remote.endpoint or 'AWS S3'} is no S3 server: look at {remote.place('endpointurl')}"
        )


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
        _NO_PROFILE: f"{chain[0]}: look at AWS_PROFILE, and at {remote.place('profile')}",
        _WRONG_KEY: f"{server} does not know the key: look at {key}",
        _WRONG_SECRET: f"{server} refuses the signature: look at {secret}",
        _OVER: f"{server} takes the session for over: look at AWS_SESSION_TOKEN",
        _DENIED: f"{server} denies access to bucket {remote.bucket}: look at {key}, at the bucket's"
        f" policy and at {url}",
        _NO_BUCKET: f"{server} has no bucket {remote.bucket}: create it, or look at {url}",
        _REGION: f"bucket {remote.bucket} is in another region: look at AWS_DEFAULT_REGION",
        _CLOCK: f"the clock of this machine differs from that of {server}: set it",
        _NO_TLS: f"no TLS with {server}: look at https or http in {endpoint}, and at ssl_verify",
        _GONE: f"{server} does not answer: {_start(remote)}look at {endpoint} and at"
        f" {_way(remote)}",
    }
    return next(
        (line for kind, line in lines.items() if kind & names),
        f"{server} cannot be used ({said}): look at {endpoint} and {url}",
    )


def _start(remote: Remote) -> str:
    local = remote.endpoint is not None and remote.endpoint.startswith("http://127.0.0.1:")
    return "start it (`make s3` for that of this clone), or " if local else ""


def _way(remote: Remote) -> str:
    """What lies between this machine and the server."""
    scheme, _, host = (remote.endpoint or "https://").rstrip("/").partition("://")
    if scheme in getproxies_environment() and not proxy_bypass(host):
        return f"{scheme.upper()}_PROXY and NO_PROXY"
    return "the network"


_LISTING = frozenset({"Name", "KeyCount", "MaxKeys", "IsTruncated"})
"""What an answer of S3 has some of; the page of a web server is read as one that has none."""

# Error codes of S3 and names of exceptions, from the special to the general.
_NO_KEY = frozenset({"NoCredentialsError", "PartialCredentialsError"})
_NO_PROFILE = frozenset({"ProfileNotFound"})
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
