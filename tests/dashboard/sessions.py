"""Sessions of the dashboard without a browser: what Streamlit's script in a page would send."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

SECONDS = 120
"""That a page may take on a loaded machine; no claim about its speed."""


def look_around(url: str, paths: Iterable[str]) -> None:
    """Open pages one after another in a session of its own, and renew what renews itself, once.

    Args:
        url: of the dashboard.
        paths: of its pages.

    Raises:
        AssertionError: a page does not exist, shows an exception, or fails.
    """
    address = urlsplit(url).netloc
    stream = f"ws://{address}/_stcore/stream"
    with connect(stream, origin=Origin(url), max_size=None) as socket:
        for path in paths:
            page = BackMsg()
            page.rerun_script.page_name = path
            for fragment in _run(socket, page):
                part = BackMsg()
                part.rerun_script.page_name = path
                part.rerun_script.fragment_id = fragment
                part.rerun_script.is_auto_rerun = True
                _run(socket, part)


def _run(socket: ClientConnection, message: BackMsg) -> list[str]:
    """Have a script run, to its end; returns the ids of fragments that renew themselves."""
    socket.send(message.SerializeToString())
    fragments = []
    while True:
        answer = ForwardMsg()
        answer.ParseFromString(socket.recv(SECONDS, decode=False))
        kind = answer.WhichOneof("type")
        assert kind != "page_not_found", message
        if kind == "auto_rerun":
            fragments.append(answer.auto_rerun.fragment_id)
        if kind == "delta":
            assert answer.delta.new_element.WhichOneof("type") != "exception", answer
        if kind == "script_finished":
            assert answer.script_finished in {
                ForwardMsg.FINISHED_SUCCESSFULLY,
                ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
            }
            return fragments
