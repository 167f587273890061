"""HTTP as uvicorn speaks it, with bounds on what one connection may have the server keep.

uvicorn keeps a head (request line and headers) however long it gets, at a cost that grows with its
square: one endless head stops a worker, and needs no key. It also reads more pipelined requests
with each answer, however many wait: one connection takes any memory. All other bounds are up to a
reverse proxy.
"""

from asyncio import Transport
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 65_536
"""Bytes of a head, and of what frames a body without being a part of it."""

PIECE = 8_192
"""Bytes that are read at a time: of the requests in them, all but the first may have to wait."""


class _Flow(FlowControl):
    """Reads on only when no request waits."""

    def __init__(self, transport: Transport, waits: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._waits = waits

    def resume_reading(self) -> None:
        if not self._waits():
            super().resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """The protocol of one connection."""

    _framing = 0
    _unread = memoryview(b"")

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Begin."""
        super().connection_made(transport)
        self.flow = _Flow(transport, lambda: bool(self.pipeline or self._unread))

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless too much of it is neither a whole head nor a body."""
        self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
        self._read()

    def on_response_complete(self) -> None:
        """Begin with the next request, if there is one."""
        super().on_response_complete()
        self._read()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _read(self) -> None:
        """Read on until a request has to wait."""
        while self._unread and not self.pipeline and not self._is_over():
            piece, self._unread = self._unread[:PIECE], self._unread[PIECE:]
            self._framing += len(piece)
            super().data_received(piece)  # type: ignore[arg-type]  # the parser takes any buffer
            if self._framing > MOST and not self.transport.is_closing():
                self.send_400_response(f"the head has more than {MOST} bytes")

    def _is_over(self) -> bool:
        """Whether nothing more is read, since the connection ends or has become a WebSocket."""
        return self.transport.is_closing() or self.transport.get_protocol() is not self

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body is there."""
        self._framing = 0
        super().on_body(body)
