"""A real S3 endpoint on this machine, for those without a cloud; the remote points at it.

    python -m versions.s3 start    make s3
    python -m versions.s3 stop     make s3-stop

Data, log and key lie below var/s3; the server listens on loopback only and goes on in the
background until it is stopped or the machine is. Starting it twice changes nothing.
"""

from stages.common.errors import StageError
from stages.common.running import arguments, log, run
from versions.storage import endpoint, faults, remote_config


def main() -> None:
    """Start or stop the server."""
    (what,) = arguments("start|stop")
    if what == "start":
        server, started = endpoint.start()
        remote_config.assign(endpoint.URL, server.endpoint, (server.key, server.secret))
        with remote_config.opened() as there:
            faults.check(there)
        log.info(
            "s3: %s %s, data in %s; the remote of this clone points at it",
            server.endpoint,
            "started" if started else "runs already",
            endpoint.DATA,
        )
    elif what == "stop":
        log.info("s3: %s", "stopped" if endpoint.stop() else "does not run")
    else:
        raise StageError(f"expected start or stop, got {what}; see --help")


if __name__ == "__main__":
    run(main)
