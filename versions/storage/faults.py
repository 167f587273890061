"""Why a remote cannot be used: one line, with the setting to look at."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread
from typing import TypeVar

from stages.common.errors import VersionError
from versions.storage.remote_config import KEYS, Remote

_T = TypeVar("_T")

CHECK_SECONDS = 5
"""How often the server is asked during a transfer whether it still answers."""


def check(remote: Remote) -> None:
    """Ask an S3 server once, for at most the time-outs in `.dvc/config`; ask no other remote.

    Raises:
        VersionError: the remote cannot be read.
    """
    if not remote.is_s3:
        return
    bucket, _, path = remote.url.removeprefix("s3://").partition("/")
    try:
        answer = remote.probe.call_s3("list_objects_v2", Bucket=bucket, Prefix=path, MaxKeys=1)
    except Exception as error:  # boto, s3fs, aiohttp and ssl each have their own
        raise VersionError(explain(remote, error)) from error
    # The client reads the page of any web server as a listing without fields.
    if not {"Name", "KeyCount", "MaxKeys", "IsTruncated"} & set(answer):
        endpoint = remote.place("endpointurl")
        raise VersionError(f"{remote.server} is not an S3 server: look at {endpoint}")


def checked(remote: Remote, action: Callable[[], _T]) -> _T:
    """Run a transfer, and check the server beside it.

    S3 clients have no time-out for a request body that the server stops reading, and DVC goes on
    with the next file when one fails. The thread is a daemon, so that it cannot keep the process.

    Raises:
        VersionError: the server no longer answers, or the transfer failed.
    """
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # noqa: BLE001  # raised again by future.result
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    while not wait([future], CHECK_SECONDS).done:
        check(remote)
    try:
        return future.result()
    except Exception as error:
        raise VersionError(explain(remote, error)) from error


def explain(remote: Remote, error: BaseException) -> str:
    """One line for an error of the remote's client, with the setting to look at."""
    message = f"({type(error).__name__}: {error})"
    if isinstance(error, VersionError):
        return str(error)
    if not remote.is_s3:
        return f"{remote.url} cannot be used {message}: look at `dvc config --list`"
    server, bucket = remote.server, remote.url.split("/")[2]
    key, secret, url, endpoint = map(remote.place, (*KEYS, "url", "endpointurl"))
    ours = "start it (`make s3` for that of this clone), or "
    start = ours if server.startswith("http://127.0.0.1:") else ""
    gone = "ConnectionError HTTPClientError TimeoutError FSTimeoutError ClientPayloadError"
    # Error codes of S3 and names of exceptions, from the special to the general.
    lines = {
        "NoCredentialsError PartialCredentialsError": f"needs credentials: set {key} and {secret}",
        "ProfileNotFound": f"cannot be used: {error}: look at AWS_PROFILE and at profile",
        "InvalidAccessKeyId": f"does not know the key: look at {key}",
        "SignatureDoesNotMatch": f"refuses the signature: look at {secret}",
        "ExpiredToken InvalidToken": "says that the session has expired: look at AWS_SESSION_TOKEN",
        "AccessDenied AllAccessDisabled 403 Forbidden": f"denies access to bucket {bucket}: look"
        f" at {key}, at the bucket's policy and at {url}",
        "NoSuchBucket InvalidBucketName 404": f"has no bucket {bucket}: create it or look at {url}",
        "PermanentRedirect AuthorizationHeaderMalformed": f"has bucket {bucket} in another region:"
        " look at AWS_DEFAULT_REGION",
        "RequestTimeTooSkewed": "has another time than this machine: set the clock",
        "SSLError": f"does not speak TLS: look at https or http in {endpoint}, and at ssl_verify",
        gone: f"does not answer: {start}look at {endpoint}, at the network and at HTTP(S)_PROXY",
    }
    names = _names(error)
    line = next((line for codes, line in lines.items() if names & set(codes.split())), None)
    return f"{server} {line or f'cannot be used {message}: look at {endpoint} and {url}'}"


def is_corruption(error: BaseException) -> bool:
    """Whether the server has another checksum or size of an object than that of its bytes."""
    return bool({"FlexibleChecksumError", "InvalidRange"} & _names(error))


def _names(error: BaseException | None) -> set[str]:
    """The class names and S3 error codes of an error and of what caused it."""
    names: set[str] = set()
    while error is not None:
        names |= {kind.__name__ for kind in type(error).__mro__}
        response = getattr(error, "response", None) or {}
        names.add(str(response.get("Error", {}).get("Code")))
        error = error.__cause__ or error.__context__
    return names
