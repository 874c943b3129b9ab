"""A source's end of the WebSocket: numbers its samples, keeps what is not stored yet, and goes on after a break.

    async with SourceClient("http://127.0.0.1:8765", "robot-7") as robot:
        await robot.send({"battery_percentage": 78.0})

Needs the extra `telemetry`.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from brain.connectors.urls import url_parts
from brain.errors import BrainError, Conflict, InvalidInput, Unavailable
from brain.extras import needs
from brain.stream.retry import Backoff
from brain.telemetry.samples import Sample
from brain.typed import ready

with needs("a telemetry source", "telemetry"):
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

_FINAL = {4400: InvalidInput, 4409: Conflict, 4429: InvalidInput}
"""Codes of closing after which another try would end in the same way."""
_FIRST_SECONDS = 30.0
"""How long the first connection may take; later ones are tried for ever."""
_LINES = 200  # in one message
_BYTES = 1 << 19


class _Answer(msgspec.Struct):
    seq: int
    credit: int


class SourceClient:
    """One source. `send` waits while the server grants no credit; `drain` until everything is stored."""

    def __init__(
        self,
        url: str,
        source: str,
        *,
        run: str | None = None,
        interval: float | None = None,
        api_key: str = "",
        verify: ssl.SSLContext | None = None,
    ) -> None:
        """`run` names one numbering: give the same to go on after a restart. `interval` is what the server expects.

        `verify` says which certificates are trusted; None: those of the system's authorities.
        """
        self.seq: int = 0
        """The number of the last sample that was sent."""
        self.stored: int = 0
        """The number of the last sample that the server has stored."""
        self.connections: int = 0
        self._url = _socket_url(url, f"/api/telemetry/ws/{quote(source)}", _query(run, interval))
        self._options = _options(self._url, api_key, verify)
        self._pending: deque[Sample] = deque()
        self._credit = 1
        self._error: BrainError | None = None
        self._raised = False
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="telemetry source")
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                await self._until(lambda: self.connections > 0)
        except BaseException as error:
            self._task.cancel()
            if isinstance(error, TimeoutError):
                words = f"no server at {urlsplit(self._url).netloc} within {_FIRST_SECONDS:g} s"
                raise Unavailable(f"{words}; check the URL, and that brain serve runs there") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and not self._raised:
                await self.drain()
        finally:
            assert self._task is not None
            if self._socket is not None:
                await self._socket.close()  # says good-bye, so that the source is not missed
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def send(self, values: Mapping[str, float], t: float | None = None) -> int:
        """Send a sample; its number. `t` is when it was measured, in Unix seconds, else now.

        Raises Conflict when another connection has the source, InvalidInput when the server refuses samples.
        """
        await self._until(lambda: len(self._pending) < self._credit)
        self.seq += 1
        self._pending.append(Sample(self.seq, dict(values), time.time() if t is None else t))
        await self._notify()
        return self.seq

    async def drain(self) -> None:
        """Wait until the server has stored everything. Raises as `send`."""
        await self._until(lambda: not self._pending)

    async def _until(self, holds: Any) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: holds() or self._error is not None)
        if self._error is not None:
            self._raised = True
            raise self._error

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _run(self) -> None:
        backoff = Backoff(0.05, 2.0)
        while self._error is None:
            try:
                options = self._options | {"max_size": 1 << 20, "close_timeout": 2}
                async with connect(self._url, **options) as socket:
                    await self._serve(socket)
            except ConnectionClosed as error:
                self._note_close(error)
            except InvalidStatus as error:
                self._note_status(error)
            except (OSError, TimeoutError, WebSocketException):
                pass  # the server is away: it is tried again
            if self._error is None:
                await asyncio.sleep(backoff.next_delay())
        await self._notify()

    async def _serve(self, socket: ClientConnection) -> None:
        await self._take(await socket.recv())
        self._socket = socket
        self.connections += 1
        await self._notify()
        sending = asyncio.create_task(self._send_on(socket))
        try:
            async for answer in socket:
                await self._take(answer)
        finally:
            self._socket = None
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _take(self, text: str | bytes) -> None:
        answer = msgspec.json.decode(text, type=ready(_Answer))
        self.stored, self._credit = answer.seq, answer.credit
        self.seq = max(self.seq, answer.seq)
        while self._pending and self._pending[0].seq <= answer.seq:
            self._pending.popleft()
        await self._notify()

    async def _send_on(self, socket: ClientConnection) -> None:
        sent = self.stored
        while True:
            async with self._changed:
                while not self._pending or self._pending[-1].seq <= sent:
                    await self._changed.wait()
                lines, sent = self._lines_after(sent)
            await socket.send(b"\n".join(lines).decode())

    def _lines_after(self, sent: int) -> tuple[list[bytes], int]:
        """The next message's lines, and the number of the last."""
        lines: list[bytes] = []
        size = 0
        for sample in self._pending:
            if sample.seq <= sent:
                continue
            line = msgspec.json.encode(sample)
            if lines and (len(lines) >= _LINES or size + len(line) > _BYTES):
                break
            lines.append(line)
            size += len(line)
            sent = sample.seq
        return lines, sent

    def _note_close(self, error: ConnectionClosed) -> None:
        received = error.rcvd
        if received is not None and received.code in _FINAL:
            self._error = _FINAL[received.code](f"the server refused the source: {received.reason}")

    def _note_status(self, error: InvalidStatus) -> None:
        status = error.response.status_code
        if status in (400, 401, 403, 404, 421, 426, 501):
            self._error = Unavailable(f"the server refused the connection with {status}; check URL and API key")


async def follow(
    url: str, pattern: str, api_key: str = "", verify: ssl.SSLContext | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The samples that a server stores from now on, and `{"dropped": N}` where it was too fast.

    `verify` says which certificates are trusted; None: those of the system's authorities.
    Raises Unavailable when the server cannot be reached, or ends the connection.
    """
    target = _socket_url(url, "/api/telemetry/tail", {"source": pattern})
    try:
        async with connect(target, max_size=1 << 24, **_options(target, api_key, verify)) as socket:
            async for message in socket:
                for line in message.split("\n") if isinstance(message, str) else message.split(b"\n"):
                    yield msgspec.json.decode(line)
    except (OSError, WebSocketException, TimeoutError) as error:
        raise Unavailable(f"{url}: {error}; check the URL, and that brain serve runs there") from error


def new_run() -> str:
    """A name for a new numbering."""
    return f"run_{secrets.token_hex(8)}"


def _options(url: str, api_key: str, verify: ssl.SSLContext | None) -> dict[str, Any]:
    """How to connect; a context is refused where nothing is encrypted."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    trusted = {} if verify is None or not url.startswith("wss:") else {"ssl": verify}
    return {"additional_headers": headers, "proxy": None, **trusted}


def _query(run: str | None, interval: float | None) -> dict[str, str]:
    return {"run": new_run() if run is None else run, **({} if interval is None else {"interval": str(interval)})}


def _socket_url(url: str, path: str, query: Mapping[str, str]) -> str:
    parts = url_parts(url, "url")
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(f"url: {url!r} must begin with http:// or https://")
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, urlencode(query), ""))
