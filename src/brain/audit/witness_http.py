"""A witness over HTTP: the three routes of C2SP tlog-witness, and its public key."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from brain.audit.witness_server import LONGEST, NotWitnessed, WitnessService
from brain.errors import Unavailable


def witness_app(service: WitnessService) -> Starlette:
    """`POST /add-checkpoint`, `GET /HASH/checkpoint` with the SHA-256 of a log's origin, and `GET /`."""

    async def add_checkpoint(request: Request) -> Response:
        try:
            body = await _body(request)
            line = await run_in_threadpool(service.add_checkpoint, body)
        except NotWitnessed as refused:
            return Response(refused.body, refused.status, {"Content-Type": refused.media_type})
        except Unavailable as error:
            return PlainTextResponse(f"{error}\n", 503)
        return PlainTextResponse(line)

    async def checkpoint(request: Request) -> Response:
        note = await run_in_threadpool(service.last, request.path_params["name"])
        return PlainTextResponse(note) if note is not None else PlainTextResponse("nothing was signed\n", 404)

    async def key(request: Request) -> Response:
        return PlainTextResponse(f"{service.witness.key}\n")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/{name}/checkpoint", checkpoint),
            Route("/", key),
        ]
    )


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST:
                raise NotWitnessed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body: more than {LONGEST} bytes")
    except ClientDisconnect as error:
        raise NotWitnessed(HTTPStatus.BAD_REQUEST, "body: ended before its time") from error
    return bytes(body)


@asynccontextmanager
async def witnessing(service: WitnessService, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """The witness answers on the listening socket inside the block; the task ends when it fails."""
    config = uvicorn.Config(
        witness_app(service),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    work = asyncio.create_task(server.serve([listener]))
    try:
        yield work
    finally:
        server.should_exit = True
        await work


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
