"""TLS of the server, by the settings: its certificate, and what certificates of its clients prove.

New files are taken while it runs: handshakes after that have the new certificate, and connections that are open go on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from brain.access.settings import AccessSettings
from brain.access.x509_svid import Bundles, Peer
from brain.errors import InvalidInput
from brain.logs import Log
from brain.settings import CoreSettings

log: Log = Log("brain.server.tls")

PEER = "brain.peer"
"""The key in a request's scope of what its client's certificate proves."""
LOOK_SECONDS = 2.0
"""How soon a new file is seen."""


class ServerTls:
    """The server's end of TLS. Raises InvalidInput for files that it cannot be made of."""

    def __init__(self, certificate: Path, key: Path, bundles: Bundles) -> None:
        self._certificate = certificate
        self._key = key
        self._bundles = bundles
        self._seen = self._marks()
        self.context: ssl.SSLContext = _context(asks=bool(bundles.files))
        self._load(self.context)
        self._trust()

    def peer(self, transport: asyncio.BaseTransport) -> Peer | None:
        """What the client's certificate proves; None where there is none."""
        chain = verified_chain(transport.get_extra_info("ssl_object"))
        if not chain:
            return None
        found = self._bundles.peer(chain)
        if found.fault is not None:
            log.warning("a client's certificate proves nothing", reason=found.fault)
        return found

    async def watch(self) -> None:
        """Take new files, until it is cancelled. Those that do not fit are logged, and the former go on."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.renew)

    def renew(self) -> None:
        """Take the files again if they have changed. Blocks."""
        marks = self._marks()
        if marks == self._seen:
            return
        try:
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # a pair that does not fit would break the one in use
            self._load(self.context)
            self._bundles.read()
            self._trust()
        except InvalidInput as error:
            log.warning("new files of TLS cannot be taken; the former go on", error=str(error))
        else:
            log.info("new files of TLS were taken", certificate=str(self._certificate))
        self._seen = marks

    def _trust(self) -> None:
        """Let the handshake verify chains by all authorities; those that are gone count no more in `Bundles.peer`."""
        anchors = self._bundles.anchors
        if anchors:
            self.context.load_verify_locations(cadata=anchors)

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # an SSLError is one
            raise InvalidInput(
                f"tls_certificate, tls_key: {self._certificate} with {self._key} cannot be used: "
                f"{error.strerror or error}"
            ) from error

    def _marks(self) -> Sequence[tuple[int, int, int] | None]:
        return [_mark(file) for file in (self._certificate, self._key, *self._bundles.files)]


def server_tls(settings: CoreSettings) -> ServerTls | None:
    """The server's end of TLS; None where the settings name no certificate. Raises InvalidInput."""
    domains = settings.table(AccessSettings).trust_domains
    if not settings.tls_certificate:
        if settings.tls_key or domains:
            what = "tls_key" if settings.tls_key else "access.trust_domains"
            raise InvalidInput(f"{what}: needs the server's own certificate; name its PEM file in tls_certificate")
        return None
    certificate = Path(settings.tls_certificate)
    return ServerTls(certificate, Path(settings.tls_key or certificate), Bundles(domains))


def verified_chain(ssl_object: Any) -> list[bytes]:
    """The chain that the handshake verified, in DER, from the client's certificate on; none without a certificate."""
    if ssl_object is None or ssl_object.getpeercert(True) is None:
        return []
    if hasattr(ssl_object, "get_verified_chain"):  # from Python 3.13 on
        return [bytes(one) for one in ssl_object.get_verified_chain()]
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in ssl_object._sslobj.get_verified_chain()]


def with_peer(app: ASGIApp, peer: Peer) -> ASGIApp:
    """The application for the requests of one connection."""

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = peer
        await app(scope, receive, send)

    return known


def _context(*, asks: bool) -> ssl.SSLContext:
    """A context that `asks` clients for certificates; people and those with keys have none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if asks:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
