"""The live feed of predictions and of changes of revision, as a WebSocket."""

import asyncio
from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from serve.edge import problems
from serve.edge.problems import ProblemError
from serve.observe.listeners import CrowdedError, Reader, message
from serve.service import Service

TOO_SLOW = 1013
"""The code of "try again later" (IANA, WebSocket Close Code Number Registry)."""

routes = APIRouter()


@routes.websocket("/live")
async def live(websocket: WebSocket) -> None:
    """Each prediction, batch and change of revision as it happens.

    Messages are JSON texts, `{"type": ..., "data": ...}`: `hello` and `revision` say which revision
    answers, `prediction` is one as its caller got it, `batch` is an Arrow stream that was answered.
    From `hello` on none is left out. A reader that falls 10,000 messages behind is dropped with
    code 1013.
    """
    service: Service = websocket.app.state.service
    if not _allowed(websocket, service.settings.cors_origins):
        await _refuse(
            websocket, 403, "pages of other origins may not listen (SERVE_CORS_ORIGINS)", "origin"
        )
        return
    try:
        with service.live.reader() as reader:
            await websocket.accept()
            await _tell(websocket, reader, service)
    except CrowdedError as error:
        await _refuse(websocket, 503, str(error), "crowded")


async def _refuse(websocket: WebSocket, status: int, detail: str, kind: str) -> None:
    refusal = problems.refusal(websocket.scope, ProblemError(status, detail, kind))
    await websocket.send_denial_response(refusal)


async def _tell(websocket: WebSocket, reader: Reader, service: Service) -> None:
    current = service.follower.current
    hello = {} if current is None else current.described()
    tasks = [
        asyncio.ensure_future(work)
        for work in (
            _send(websocket, reader, message("hello", hello)),
            _until_gone(websocket),
            reader.slow.wait(),
        )
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if reader.slow.is_set():
        await websocket.close(TOO_SLOW, "too slow: too many messages were waiting")


async def _send(websocket: WebSocket, reader: Reader, hello: str) -> None:
    await websocket.send_text(hello)
    while True:
        await websocket.send_text(await reader.messages.get())


async def _until_gone(websocket: WebSocket) -> None:
    """Ignore what the reader sends, until it leaves."""
    try:
        while True:
            await websocket.receive()
    except (RuntimeError, WebSocketDisconnect):
        return


def _allowed(websocket: WebSocket, origins: Collection[str]) -> bool:
    """Whether a page may listen. Browsers let any page open a WebSocket to any server."""
    origin = websocket.headers.get("origin")
    if origin is None or origin in origins or "*" in origins:
        return True
    try:
        return urlsplit(origin).netloc == websocket.headers.get("host")
    except ValueError:
        return False
