"""Show the dashboard: `python -m dashboard [--host ADDRESS] [--port PORT]`, from the project.

It listens on 127.0.0.1:8501 (DASHBOARD_HOST, DASHBOARD_PORT) and asks the server of this machine,
or that of DASHBOARD_SERVER. docs/dashboard.md shows its pages.
"""

import os
import socket
import sys
from pathlib import Path

import serve.server_settings
from dashboard import dashboard_settings
from dashboard.dashboard_settings import DashboardError, Settings, server_url
from serve.edge.keyring import Keyring, is_local
from stages.common.running import Parser, run

NAVIGATION = Path(__file__).with_name("navigation.py")


def check(settings: Settings, server: serve.server_settings.Settings) -> None:
    """Refuse settings that cannot work, or that would let strangers in.

    Raises:
        DashboardError: the address cannot be used, or other machines could look without a key.
        KeysError: the keys cannot be read.
    """
    if not is_local(settings.host) and not Keyring(server.keys, server.keys_file).required:
        raise DashboardError(
            f"DASHBOARD_HOST={settings.host}: refusing to listen to other machines without keys; "
            "make one with `python -m serve keys add`"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.create_server((settings.host, settings.port), family=family):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DashboardError(
            f"DASHBOARD_PORT={settings.port} on {settings.host}: {reason}; stop what listens "
            "there, or choose another port"
        ) from None


def main() -> None:
    """Check the settings, then become Streamlit."""
    parser = Parser()
    parser.add_argument("--host")
    parser.add_argument("--port")
    for name, value in vars(parser.parse_args()).items():
        if value is not None:
            os.environ[f"DASHBOARD_{name.upper()}"] = value
    settings = dashboard_settings.load()
    server = serve.server_settings.load()
    check(settings, server)
    words = [sys.executable, "-m", "streamlit", "run", str(NAVIGATION)]
    words += ["--server.address", settings.host, "--server.port", str(settings.port)]
    sys.stderr.write(f"asks the server at {server_url(settings, server)}\n")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host or "localhost"
    sys.stderr.write(f"open http://{host}:{settings.port}\n")
    sys.stderr.flush()
    # One process, so that signals and Ctrl-C reach Streamlit itself.
    os.execv(sys.executable, words)  # noqa: S606  # no shell


if __name__ == "__main__":
    run(main)
