"""Hands on what came in by OTLP to an OpenTelemetry backend, by OTLP over HTTP.

What waits lies in memory, up to a bound: what a backend that is away for long does not get, and what waits when the
server ends, is lost there, and counted. It is stored here all the same.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import deque

from brain.connectors.sender import Refused, Request, RetryPolicy, Sender, TryLater
from brain.errors import BrainError
from brain.logs import Log
from brain.stream.retry import Backoff
from brain.telemetry.content import without_content
from brain.telemetry.otlp import OtlpBody
from brain.telemetry.settings import Forward

log: Log = Log("brain.telemetry")

_SERVICE = "the OpenTelemetry backend"


class Forwarding:
    """The queue of one backend; `run` sends until it is cancelled."""

    def __init__(self, settings: Forward, most: int) -> None:
        self.sent: int = 0
        self.dropped: int = 0
        """Requests that found no room, or that the backend refused."""
        self.content_bytes: int = 0
        """Bytes of prompts, answers and arguments that were taken out."""
        self._settings = settings
        self._most = most
        self._waiting: deque[OtlpBody] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def add(self, body: OtlpBody) -> None:
        """Send this later; drops it when too much waits."""
        if self._bytes + len(body.data) > self._settings.queue_bytes:
            self._drop(body, "too much waits for it")
            return
        self._waiting.append(body)
        self._bytes += len(body.data)
        self._news.set()

    async def run(self) -> None:
        """Send what comes, in its order."""
        async with Sender(RetryPolicy(attempts=1)) as sender:
            while True:
                while self._waiting:
                    await self._send(sender, self._waiting[0])
                    self._bytes -= len(self._waiting.popleft().data)
                self._news.clear()
                await self._news.wait()

    async def _send(self, sender: Sender, body: OtlpBody) -> None:
        try:
            request = await asyncio.to_thread(self._request, body)
        except BrainError as error:
            self._drop(body, str(error))
            return
        backoff = Backoff(0.5, 30.0)
        while True:
            try:
                await sender.send(_SERVICE, request)
                self.sent += 1
                return
            except Refused as error:
                self._drop(body, str(error))
                return
            except TryLater as error:
                delay = backoff.next_delay() if error.retry_after is None else error.retry_after
                log.warning("telemetry is forwarded later", error=str(error), seconds=round(delay, 1))
                await asyncio.sleep(delay)

    def _request(self, body: OtlpBody) -> Request:
        data = body.unpacked(self._most)
        if not self._settings.content:
            data, dropped = without_content(body.signal, body.media_type, data)
            self.content_bytes += dropped
        headers = {name: secret.reveal() for name, secret in self._settings.headers.items()}
        headers |= {"Content-Type": body.media_type, "Content-Encoding": "gzip"}
        url = f"{self._settings.endpoint.rstrip('/')}/v1/{body.signal}"
        return Request("POST", url, headers, gzip.compress(data, 1))

    def _drop(self, body: OtlpBody, why: str) -> None:
        self.dropped += 1
        log.warning("telemetry is not forwarded", signal=body.signal, reason=why, dropped=self.dropped)
