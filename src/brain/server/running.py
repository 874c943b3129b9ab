"""The application on a socket: started, and stopped in order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

import uvicorn
from starlette.applications import Starlette

from brain.access.settings import AccessSettings
from brain.charter import current_principal
from brain.errors import InvalidInput
from brain.extras import is_installed
from brain.kit.own_server import local_url
from brain.platform import handle_signals
from brain.server.app import create_app
from brain.server.impatient import Peers, protocol
from brain.server.security import check_exposure
from brain.server.tls import ServerTls, server_tls, with_peer
from brain.settings import CoreSettings
from brain.store import Store, open_store
from brain.stream import EventStream
from brain.stream.giving_way import requests

A = ParamSpec("A")
T = TypeVar("T")

THREADS = 32
"""Threads for blocking calls, which mostly wait for a lock or a disk. asyncio's own default is four more than cores."""
DRAIN_SECONDS = 5
"""How long requests may take to end when the server stops."""


@dataclass(frozen=True)
class Running:
    """A server that answers at `url`; `ended` is done when it stopped without being asked to."""

    url: str
    stream: EventStream
    ended: asyncio.Task[None]


SWITCH_SECONDS = 0.0005
"""How long a thread of the server that computes may keep the interpreter while the event loop waits for it: a search in
each of four threads would otherwise hold up every request by up to 20 ms, at each turn."""


@asynccontextmanager
async def running(settings: CoreSettings, *, any_port: bool = False) -> AsyncIterator[Running]:
    """A whole server on the stream and store of `settings`, inside the block.

    `any_port` takes a free port when that of `settings` is taken. At the end followers are disconnected, requests
    finish, plug-ins close, then the store, and the stream drains.
    Raises InvalidInput when it cannot listen at the address, Unavailable when stream or store do not answer.
    """
    check_exposure(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.get_running_loop().set_default_executor(_Threads(THREADS, "brain"))
    with closing(_listen(settings.host, settings.port, any_port)) as listener:
        async with EventStream.open(settings.stream) as stream:
            with closing(open_store(settings.store_url)) as store:
                async with serving(stream, store, settings, listener) as server:
                    yield server


@asynccontextmanager
async def serving(
    stream: EventStream, store: Store, settings: CoreSettings, listener: socket.socket
) -> AsyncIterator[Running]:
    """As `running`, over a stream, a store and a listening socket that the caller opened."""
    tls = server_tls(settings)
    app = create_app(stream, store, settings)
    # The lifespan is entered here, so that its errors are raised, and not printed by uvicorn.
    async with app.router.lifespan_context(app):
        server = _Server(_config(app, settings, tls))
        work = asyncio.create_task(server.serve([listener]))
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({work, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        following = None if tls is None else asyncio.create_task(tls.follow())
        try:
            yield Running(_url(listener, "http" if tls is None else "https"), stream, work)
        finally:
            if following is not None:
                following.cancel()
            app.state.end_waits()
            server.stop()
            await work


def _config(app: Starlette, settings: CoreSettings, tls: ServerTls | None) -> uvicorn.Config:
    """How uvicorn serves it."""
    header_seconds = settings.table(AccessSettings).header_seconds
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[*settings.trusted_proxies],
        http=protocol(header_seconds, app.state.direct, None if tls is None else tls.peer),  # type: ignore[arg-type]
        timeout_graceful_shutdown=DRAIN_SECONDS,
        ws=partial(_websocket, None if tls is None else tls.peer) if is_installed("websockets") else "none",  # type: ignore[arg-type]
    )
    config.load()
    config.ssl = None if tls is None else tls.listening
    return config


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop where the extra `fast` brought it, which takes half of asyncio's time; else asyncio's own."""
    if not is_installed("uvloop"):
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that is set by SIGINT or SIGTERM inside the block; a second signal ends the process at once."""
    stop = asyncio.Event()

    def received() -> None:
        stop.set()
        as_before()

    with handle_signals((signal.SIGINT, signal.SIGTERM), received) as as_before:
        yield stop


class _Threads(ThreadPoolExecutor):
    """Threads for blocking calls; the loop gives way to those that requests wait for."""

    def submit(self, function: Callable[A, T], /, *args: A.args, **options: A.kwargs) -> Future[T]:
        if current_principal() is None:  # a task's
            return super().submit(function, *args, **options)
        return super().submit(requests.call(function, *args, **options))


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, and without its look ten times a second whether it is to end.

    `up` is set when it listens.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._over = asyncio.Event()

    def stop(self) -> None:
        """Have `serve` end in order."""
        self.should_exit = True
        self._over.set()

    async def main_loop(self) -> None:
        """Until `stop`: renew the date in the headers every second."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._over.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def _websocket(peer: Peers | None, *given: Any, **options: Any) -> asyncio.Protocol:
    """The protocol of a connection that becomes a WebSocket; it is imported for the first one.

    `peer` says what the client's certificate proves, as for other requests.
    """
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Certified(WebSocketsSansIOProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if peer is not None and (found := peer(transport)) is not None:
                self.app = with_peer(self.app, found)

    return Certified(*given, **options)


def _listen(host: str, port: int, any_port: bool) -> socket.socket:
    """A listening socket. Raises InvalidInput naming what to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise InvalidInput(f"host: {host!r} is not an address of this machine: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if any_port and error.errno == errno.EADDRINUSE:
            return _listen(host, 0, any_port=False)
        raise InvalidInput(f"port: cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return local_url(scheme, host, port)
