"""HTTP as uvicorn speaks it, with bounds on what comes before a request can be judged.

Who asks is in the head of a request: until that is there, everybody may send. uvicorn itself waits
for it without end, and keeps whatever comes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 20.0
"""In which a head must have come, from the connection or its own first byte on."""

MOST = 65_536
"""Bytes of a head, and of what frames a body beyond as many as the body has; the packet that a head
begins in is not counted."""


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._framing = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._expect_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless too much of it is no body."""
        self._framing += len(data)
        super().data_received(data)
        if self._in_head and self._late is None:
            self._expect()
        if self._framing > MOST and not self.transport.is_closing():
            if self._in_head:
                self.send_400_response(f"the head has more than {MOST} bytes")
            else:
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        self._framing = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head = False
        self._framing = 0
        self._expect_no_more()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body is there."""
        self._framing = max(0, self._framing - 2 * len(body))
        super().on_body(body)

    def _expect(self) -> None:
        self._late = self.loop.call_later(SECONDS, self.transport.close)

    def _expect_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
