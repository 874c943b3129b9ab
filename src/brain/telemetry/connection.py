"""A source over WebSocket: lines of samples in, answers with the last number stored and the credit out.

The transport buffers thousands of messages before a sender feels anything; so a source may have no more than `credit`
samples under way that are not answered yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from brain.charter import Severity
from brain.errors import BrainError, InvalidInput, Unavailable
from brain.kit.outbox import put_threat
from brain.kit.protocols import ThreatReport
from brain.logs import Log
from brain.stream.retry import Backoff
from brain.telemetry.claims import PATIENCE, Held, Wanted, claim, release
from brain.telemetry.committer import Committer, Job
from brain.telemetry.plugin import PLUGIN
from brain.telemetry.samples import Sample, SampleWriter, Stored, read_samples

log: Log = Log("brain.telemetry")

MALFORMED, TWICE, TOO_MUCH = 4400, 4409, 4429
"""Codes with which a connection is closed: bad samples, another live connection, more samples than the credit."""
MESSAGE_BYTES = 1 << 20
"""Most bytes of one message."""
_SEND_SECONDS = 10.0
"""How long a source may take to read an answer."""
_LOOK = 0.2  # seconds between two looks at who holds a source
_GOOD_BYE = (1000, 1001)


class Sources:
    """Takes the connections of sources."""

    def __init__(self, committer: Committer, writer: SampleWriter, credit: int) -> None:
        self.open: int = 0
        self.samples: int = 0
        self.twice: int = 0
        """Connections that were refused or ended, since another one of the source is live."""
        self.malformed: int = 0
        self.stored: Callable[[str, Sequence[Sample]], None] = lambda source, samples: None
        """Called with the new samples of a source, once they are stored."""
        self._committer = committer
        self._writer = writer
        self._credit = credit

    async def serve(self, websocket: WebSocket, wanted: Wanted) -> None:
        """The whole life of a connection."""
        await websocket.accept()
        self.open += 1
        try:
            held = await self._claim(wanted)
            if held.mine:
                await _Connection(self, websocket, wanted, held.seq).run()
            else:
                await self._refuse(websocket, wanted)
        except (WebSocketDisconnect, TimeoutError):
            return
        except Unavailable as error:
            log.warning("a source is not served", source=wanted.source, error=str(error))
            await _close(websocket, 1013, "the server cannot store samples now; connect again later")
        finally:
            self.open -= 1

    async def _claim(self, wanted: Wanted) -> Held:
        over = ""
        first: Held | None = None
        while True:
            held = await self._committer.commit(
                Job(lambda: over, lambda db, holder, now: claim(db, wanted, holder, now))
            )
            if held.mine:
                return held
            if first is not None and (held.holder, held.seen_at) != (first.holder, first.seen_at):
                return held  # the other one sends
            first = first or held
            await asyncio.sleep(_LOOK)

    async def _refuse(self, websocket: WebSocket, wanted: Wanted) -> None:
        await self.report_twice(wanted)
        await _close(websocket, TWICE, "another connection of this source is live")

    async def report_twice(self, wanted: Wanted) -> None:
        """Report two live connections of one source."""
        self.twice += 1
        log.warning("a source has two live connections", source=wanted.source, connection=wanted.connection)
        report = ThreatReport(
            type="telemetry_impersonation",
            source=wanted.source,
            severity=Severity.HIGH,
            description=f"source {wanted.source} has two live connections",
            reading=wanted.connection,
            metadata={"connection_id": wanted.connection},
        )
        try:
            await self._committer.commit(
                Job(lambda: report, lambda db, given, now: put_threat(db, PLUGIN.name, given, now)), quiet=True
            )
        except Unavailable as error:
            log.error("two live connections are not reported", source=wanted.source, error=str(error))

    async def store(self, wanted: Wanted, samples: Sequence[Sample]) -> Stored:
        """Store samples; waits for as long as the database does not answer."""
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                stored = await self._committer.commit(
                    Job(
                        lambda: samples,
                        lambda db, given, now: self._writer.apply(db, wanted.source, wanted.connection, given, now),
                    )
                )
            except Unavailable as error:
                log.warning("samples wait", source=wanted.source, samples=len(samples), error=str(error))
                await asyncio.sleep(backoff.next_delay())
                continue
            self.samples += len(stored.fresh)
            if stored.fresh:
                self.stored(wanted.source, stored.fresh)
            return stored

    async def let_go(self, wanted: Wanted, reason: str, over: bool) -> None:
        """Let go of the source at the end of a connection."""
        job = Job(lambda: over, lambda db, given, now: release(db, wanted, reason, given, now))
        try:
            await self._committer.commit(job)
        except BrainError as error:
            log.warning("the end of a connection is not recorded", source=wanted.source, error=str(error))

    @property
    def credit(self) -> int:
        """Samples that a source may have under way."""
        return self._credit


class _Connection:
    """One that holds its source: a reader that gathers samples, and a writer that stores and answers them."""

    def __init__(self, sources: Sources, websocket: WebSocket, wanted: Wanted, seq: int) -> None:
        self._sources = sources
        self._websocket = websocket
        self._wanted = wanted
        self._seq = seq
        self._waiting: list[Sample] = []
        self._news = asyncio.Event()
        self._reason, self._over = "lost", False
        self._closing: tuple[int, str] | None = None

    async def run(self) -> None:
        reader = asyncio.create_task(self._read(), name=f"telemetry {self._wanted.source}")
        try:
            await self._answer()
            await self._write(reader)
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader
            await self._sources.let_go(self._wanted, self._reason, self._over)
        if self._closing is not None:
            await _close(self._websocket, *self._closing)

    async def _read(self) -> None:
        """Gather what comes, until the connection ends; nothing of it is held beyond the credit."""
        while self._closing is None:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._over = message.get("code") in _GOOD_BYE
                self._reason = "closed by the source" if self._over else "lost"
                break
            text = message.get("text") or message.get("bytes") or b""
            try:
                if len(text) > MESSAGE_BYTES:
                    raise InvalidInput(f"sample: a message has more than {MESSAGE_BYTES} bytes")
                self._waiting += read_samples(text)
            except InvalidInput as error:
                self._sources.malformed += 1
                self._reason, self._closing = "refused", (MALFORMED, str(error))
            if len(self._waiting) > 2 * self._sources.credit:
                self._reason, self._closing = "refused", (TOO_MUCH, "more samples than the credit are under way")
            self._news.set()
        self._news.set()

    async def _write(self, reader: asyncio.Task[None]) -> None:
        while not reader.done() or self._waiting:
            await self._news.wait()
            self._news.clear()
            samples, self._waiting = self._waiting, []
            if not samples:
                continue
            stored = await self._sources.store(self._wanted, samples)
            if stored.replaced:
                await self._was_replaced(reader)
                return
            self._seq = stored.seq
            if not reader.done():
                await self._answer()

    async def _was_replaced(self, reader: asyncio.Task[None]) -> None:
        """What was under way when it was taken over is no sign of life; staying connected is."""
        await asyncio.wait({reader}, timeout=PATIENCE)
        if not reader.done():
            await self._sources.report_twice(self._wanted)
            self._closing = (TWICE, "another connection has taken this source over")

    async def _answer(self) -> None:
        answer = msgspec.json.encode({"seq": self._seq, "credit": self._sources.credit}).decode()
        async with asyncio.timeout(_SEND_SECONDS):
            await self._websocket.send_text(answer)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close it, unless it is closed already; a reason has at most 123 bytes."""
    with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(_SEND_SECONDS):
            await websocket.close(code, reason.encode()[:120].decode(errors="ignore"))
