"""TLS: the certificate and key of two files, which are read again when they change.

The context that listens hands each handshake to the newest one that was loaded whole (`SSLContext.sni_callback`).
A pair that does not fit, loaded into the listening context itself, would leave it broken: all handshakes would fail.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

from brain.errors import InvalidInput
from brain.logs import Log
from brain.settings import CoreSettings

log: Log = Log("brain.server.tls")

LOOK_SECONDS = 1.0
"""How often the files are looked at."""
_Seen = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """The pair that the settings name; `listening` is the context for the server's socket.

    Raises InvalidInput, naming the setting, when it cannot be loaded now.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._files = Path(certificate), Path(key)
        self._seen = self._look()
        self._fault = ""
        try:
            self._newest = self._load()
            listening = self._load()
        except OSError as error:  # what OpenSSL does not take is one, too
            raise InvalidInput(f"tls_certificate, tls_key: {self._named(error)}") from error
        listening.sni_callback = self._choose
        self.listening: ssl.SSLContext = listening

    def refresh(self) -> bool:
        """Load the pair when a file changed; whether new handshakes get another certificate now. Never raises: a pair
        that cannot be loaded is logged, the last good one goes on, and it is tried again at each look."""
        seen = self._look()
        if seen == self._seen and not self._fault:
            return False
        try:
            self._newest = self._load()
        except OSError as error:
            fault = self._named(error)
            if fault != self._fault or seen != self._seen:
                log.error("certificate not loaded; the last good one goes on", fault=fault)
            self._seen, self._fault = seen, fault
            return False
        self._seen, self._fault = seen, ""
        log.info("certificate loaded", file=str(self._files[0]))
        return True

    async def follow(self) -> None:
        """Refresh it every second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.refresh()

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, name: str | None, listening: ssl.SSLContext) -> None:
        handshake.context = self._newest

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self._files, password="")  # else OpenSSL asks the terminal for that of a locked key
        return context

    def _look(self) -> _Seen:
        return tuple(_state(file) for file in self._files)

    def _named(self, error: OSError) -> str:
        """What is wrong with which file, and what to do."""
        for file in self._files:
            if not os.access(file, os.R_OK):
                return f"{file} cannot be read; name a PEM file that this user may read"
        return (
            f"{self._files[0]} and {self._files[1]} are no certificate and its key, both as PEM, the key without a "
            f"password: {getattr(error, 'reason', None) or error}"
        )


def certificate_of(settings: CoreSettings) -> Certificate | None:
    """The certificate that the settings name; None: the server speaks plain HTTP. Raises as `Certificate`."""
    if settings.tls_certificate and settings.tls_key:
        return Certificate(settings.tls_certificate, settings.tls_key)
    return None


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
