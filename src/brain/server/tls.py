"""TLS of the server, by the settings: its certificate, and what certificates of its clients prove.

The files are read again when they change. The context that listens hands each handshake to the newest one that was
loaded whole (`SSLContext.sni_callback`), and connections that are open go on. A pair that does not fit, loaded into the
listening context itself, would leave it broken: all handshakes would fail.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Sequence
from hashlib import sha256
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
"""The key in a request's scope of what says what its client's certificate proves now."""
LOOK_SECONDS = 1.0
"""How often the files are looked at."""
MOST = 10_000
"""Of so many client certificates it is known who vouched for them, for sessions that are resumed."""
_Seen = tuple[tuple[int, int, int] | None, ...]


class ServerTls:
    """The server's end of TLS; `listening` is the context for the server's socket.

    Raises InvalidInput, naming the setting, for files that it cannot be made of.
    """

    def __init__(self, certificate: Path, key: Path, bundles: Bundles) -> None:
        self._certificate = certificate
        self._key = key
        self._bundles = bundles
        self._authorities: dict[bytes, bytes] = {}  # in DER, by the hash of the certificate that each was verified for
        self._seen = self._look()
        self._fault = ""
        self.newest: ssl.SSLContext = self._load()
        listening = self._load()
        listening.sni_callback = self._choose
        self.listening: ssl.SSLContext = listening

    def peer(self, transport: asyncio.BaseTransport) -> Callable[[], Peer] | None:
        """Says what the client's certificate proves now, as authorities may be taken away; None where there is none."""
        chain = self._chain(transport.get_extra_info("ssl_object"))
        if not chain:
            return None
        found = self._bundles.peer(chain)
        if found.fault is not None:
            log.warning("a client's certificate proves nothing", reason=found.fault)
        return lambda: self._bundles.now(found)

    def _chain(self, ssl_object: Any) -> Sequence[bytes]:
        """As `verified_chain`, also of a session that was resumed: of that OpenSSL keeps the certificate alone."""
        certificate = None if ssl_object is None else ssl_object.getpeercert(True)
        if certificate is None:
            return ()
        name = sha256(certificate).digest()
        chain = verified_chain(ssl_object)
        if not chain:
            return (certificate, self._authorities.get(name, b""))
        if len(self._authorities) >= MOST:
            self._authorities.clear()
        self._authorities[name] = chain[-1]
        return chain

    def refresh(self) -> bool:
        """Read the files when one changed; whether new handshakes get what is in them now. Blocks, never raises: files
        that cannot be used are logged, the last good ones go on, and they are tried again at each call."""
        seen = self._look()
        if seen == self._seen and not self._fault:
            return False
        try:
            self._bundles.read()
            self.newest = self._load()
        except InvalidInput as error:
            if str(error) != self._fault or seen != self._seen:
                log.error("new files of TLS not loaded; the last good ones go on", fault=str(error))
            self._seen, self._fault = seen, str(error)
            return False
        self._seen, self._fault = seen, ""
        log.info("new files of TLS loaded", certificate=str(self._certificate))
        return True

    async def follow(self) -> None:
        """Refresh it every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._fault or self._look() != self._seen:
                await asyncio.to_thread(self.refresh)

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, listening: ssl.SSLContext) -> None:
        handshake.context = self.newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Without a password OpenSSL would ask the terminal for that of a locked key.
            context.load_cert_chain(self._certificate, self._key, password="")
        except OSError as error:  # what OpenSSL does not take is one, too
            raise InvalidInput(f"tls_certificate, tls_key: {self._named(error)}") from error
        if self._bundles.files:
            context.verify_mode = ssl.CERT_OPTIONAL  # people and those with keys have none
            if self._bundles.anchors:
                context.load_verify_locations(cadata=self._bundles.anchors)
        return context

    def _look(self) -> _Seen:
        return tuple(_state(file) for file in (self._certificate, self._key, *self._bundles.files))

    def _named(self, error: OSError) -> str:
        """What is wrong with which file, and what to do."""
        for file in (self._certificate, self._key):
            if not os.access(file, os.R_OK):
                return f"{file} cannot be read; name a PEM file that this user may read"
        return (
            f"{self._certificate} and {self._key} are no certificate and its key, both as PEM, the key without a "
            f"password: {getattr(error, 'reason', None) or error}"
        )


def server_tls(settings: CoreSettings) -> ServerTls | None:
    """The server's end of TLS; None: the server speaks plain HTTP. Raises InvalidInput."""
    domains = settings.table(AccessSettings).trust_domains
    if not settings.tls_certificate:
        if settings.tls_key or domains:
            what = "tls_key" if settings.tls_key else "access.trust_domains"
            raise InvalidInput(f"{what}: needs the server's own certificate; name its PEM file in tls_certificate")
        return None
    certificate = Path(settings.tls_certificate)
    return ServerTls(certificate, Path(settings.tls_key or certificate), Bundles(domains))


def verified_chain(ssl_object: Any) -> list[bytes]:
    """The chain that the handshake verified, in DER, from the client's certificate on; none where it verified none."""
    if hasattr(ssl_object, "get_verified_chain"):  # from Python 3.13 on
        return [bytes(one) for one in ssl_object.get_verified_chain()]
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in ssl_object._sslobj.get_verified_chain() or ()]


def with_peer(app: ASGIApp, peer: Callable[[], Peer]) -> ASGIApp:
    """The application for the requests of one connection; `peer` says what its client's certificate proves now."""

    async def certified(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = peer
        await app(scope, receive, send)

    return certified


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
