"""uvicorn's protocols, with an end for connections that are open and send no whole head of a request.

uvicorn itself ends only those that idle after an answer. A thousand silent sockets of one client would otherwise hold
every descriptor of the server, and the log would fill with that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from brain.access.x509_svid import Peer
from brain.extras import is_installed
from brain.logs import Log
from brain.server.direct import DirectAnswers, direct
from brain.server.tls import with_peer

log: Log = Log("brain.server.connections")

Peers = Callable[[asyncio.Transport], Callable[[], Peer] | None]
"""Gives what says what a connection's client certificate proves now; None where there is none."""


def protocol(
    header_seconds: float, answers: DirectAnswers, peer: Peers | None = None
) -> Callable[..., asyncio.Protocol]:
    """Makes the protocol of a connection: httptools' where that is installed, as uvicorn chooses; else h11's.

    Over httptools some requests have `answers` at once. `peer` says what the client's certificate proves; requests have
    that in their scope, as `PEER`.
    """
    if not is_installed("httptools"):
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return impatient(H11Protocol, header_seconds, peer)
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return direct(impatient(HttpToolsProtocol, header_seconds, peer), answers)


def impatient(base: Any, header_seconds: float, peer: Peers | None = None) -> Callable[..., asyncio.Protocol]:
    """A subclass of one of uvicorn's two protocols that ends connections whose next head is not there in time."""

    class Impatient(base):  # type: ignore[misc]
        app: ASGIApp

        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self._late: asyncio.TimerHandle | None = None
            self.has_certificate = False

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if peer is not None and (found := peer(transport)) is not None:
                self.app = with_peer(self.app, found)
                self.has_certificate = True
            self._wait()

        def data_received(self, data: bytes) -> None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before:
                self.head_is_whole()
            elif self._late is None and self._between():  # the beginning of the next one
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def head_is_whole(self) -> None:
            """There is nothing to wait for until the next one begins."""
            if self._late is not None:
                self._stop()

        def _between(self) -> bool:
            return self.cycle is None or bool(self.cycle.response_complete)

        def _wait(self) -> None:
            self._late = self.loop.call_later(header_seconds, self._end)

        def _stop(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _end(self) -> None:
            self._late = None
            if self._between() and self.transport.get_protocol() is self and not self.transport.is_closing():
                log.info("connection ended: no whole head in time", client=self.client and self.client[0])
                self.transport.abort()

    return Impatient
