"""`python -m serve` without a command: uvicorn serves the app as the settings say."""

import argparse
import errno
import math
import os
import shutil
import socket

from serve.edge.keyring import Keyring, check_exposure
from serve.server_settings import Settings, SettingsError, check_folder


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Serve until a signal ends it.

    Raises:
        SettingsError: the certificate, the address or the working folder cannot be used.
        KeysError: the keys cannot be read.
        ExposedError: other machines could ask without a key.
    """
    check_exposure(settings, Keyring(settings.keys, settings.keys_file), settings.host)
    _check_certificate(settings)
    # Before another server's metrics are removed, or the prediction log is touched.
    _check_address(settings)
    if settings.workers > 1 or settings.rate_limit:
        check_folder(settings)
    import uvicorn

    from serve.edge.protocol import BoundedProtocol
    from serve.observe import access_log

    # uvicorn's own lines become JSON too; each worker does the same.
    access_log.configure(settings.log_level)
    if settings.workers > 1:
        _share_metrics(settings)
    uvicorn.run(
        "serve.app:serve",
        factory=True,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        workers=settings.workers,
        log_config=None,
        access_log=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=math.ceil(settings.request_timeout),
        server_header=False,
    )


def _share_metrics(settings: Settings) -> None:
    """Name the folder in which workers count together, as prometheus_client asks for it."""
    folder = settings.working_folder / f"metrics-{settings.port}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _check_address(settings: Settings) -> None:
    """Bind once, and let go: uvicorn does so only when the app is loaded."""
    host, port = settings.host or None, settings.port
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"SERVE_PORT={port}: {reason}; stop what listens there, or choose another port"
            ) from None
        if error.errno == errno.EACCES:
            raise SettingsError(f"SERVE_PORT={port}: {reason}; choose one above 1023") from None
        raise SettingsError(
            f"SERVE_HOST={settings.host}: {reason}; name an address of this machine"
        ) from None


def _check_certificate(settings: Settings) -> None:
    """Uvicorn would end with a stack trace."""
    if settings.tls_certificate is None:
        if settings.tls_key is not None:
            raise SettingsError(
                "SERVE_TLS_KEY: set SERVE_TLS_CERTIFICATE, the certificate of this key, as well"
            )
        return
    import ssl

    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=_no_password)
    except (OSError, ValueError) as error:
        key = f" with SERVE_TLS_KEY={settings.tls_key}" if settings.tls_key else ""
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SettingsError(
            f"SERVE_TLS_CERTIFICATE={settings.tls_certificate}{key}: {reason.lower()}"
        ) from None


def _no_password() -> str:
    """OpenSSL would ask for it on the terminal, where there may be none."""
    raise ValueError("the private key is encrypted; write it without a password")
