"""`python -m serve` without a command: the server itself, by uvicorn, as the settings say."""

import argparse

from serve.settings import Settings


def run(settings: Settings, _: argparse.Namespace) -> None:
    """Serve until told to stop."""
    import uvicorn

    uvicorn.run(
        "serve.app:app",
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_level=settings.log_level,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=None if settings.tls_key is None else str(settings.tls_key),
        server_header=False,
    )
