"""HTTP as uvicorn speaks it, with a bound on the size of a head.

uvicorn keeps a head (request line and headers) however long it gets, at a cost that grows with its
square: one endless head stops a worker, and needs no key. The rest is up to a reverse proxy.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 65_536
"""Bytes of a head, and of what frames a body without being a part of it."""


class BoundedProtocol(HttpToolsProtocol):
    """The protocol of one connection."""

    _framing = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless too much of it is neither a whole head nor a body."""
        self._framing += len(data)
        super().data_received(data)
        if self._framing > MOST and not self.transport.is_closing():
            self.send_400_response(f"the head has more than {MOST} bytes")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body is there."""
        self._framing = 0
        super().on_body(body)
