"""The HTTP sender of every connector: time-outs, a few retries in line, and two kinds of failing.

`Refused` is final: the service understood the request and will never accept it. `TryLater` is everything that a
later try may get over: network errors, time-outs, 408, 425, 429 and 5xx; and also 401 and 407, since somebody will
renew the expired token and the request then succeeds: giving up would lose the message. A 403 is final, as
RFC 9110 (15.5.4) has it: the service knows who asks, and forbids this.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from brain.certificates import certificate_fault
from brain.connectors.urls import sends_in_the_clear
from brain.errors import BrainError, Unavailable
from brain.extras import needs
from brain.json_text import JSON_FAULTS
from brain.logs import Log
from brain.neutral import json_bytes
from brain.redaction import redacted_body
from brain.stream.retry import retry_delay

if TYPE_CHECKING:
    import httpx

log: Log = Log("brain.connectors")

WORDS = 500
"""Most characters that are kept of a service's own words."""
ANSWER_BYTES = 4 << 20
"""Most bytes of an answer that are read; a longer one counts as a failure of the service."""

_LATER = frozenset({401, 407, 408, 425, 429})
_CREDENTIALS = frozenset({401, 407})
_SECONDS = re.compile(r"\d{1,9}").fullmatch


class Refused(BrainError):
    """The service will never accept this request; `service_status` and `words` are its own."""

    status = 502
    title = "Refused by an outside service"

    def __init__(self, service: str, service_status: int, words: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{service} refused the request ({service_status}): {words or 'no reason given'}")
        self.headers: Mapping[str, str] = headers or {}
        """Those of its answer, in lower case."""
        self.service = service
        self.service_status = service_status
        self.words = words


class TryLater(Unavailable):
    """The service cannot do it now; `retry_after` is how many seconds it asks to wait, None when it names none."""

    title = "An outside service is unavailable"

    def __init__(
        self,
        message: str,
        retry_after: float | None = None,
        service_status: int | None = None,
        *,
        about_connection: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.service_status = service_status
        self.about_connection: bool = about_connection or service_status in _CREDENTIALS
        """Whether a person must look: the service does not know our account, or something else answers in its place."""


class NotYet(TryLater):
    """The service cannot take this one message now, as a mailbox that is full; it takes others."""


LONGEST_RETRY_AFTER = 3600.0
"""The longest that a service may ask to be left alone, in seconds."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how long one message is tried in line; all times in seconds."""

    attempts: int = 3
    """Tries in line, the first one counted, before TryLater is raised."""
    timeout: float = 10.0
    """For one try, from connecting to the last byte of the answer."""
    connect_timeout: float = 5.0
    wait: float = 0.5
    """Before the second try, at random half of it or more; it doubles with every further one."""
    max_wait: float = 10.0
    """The longest wait in line. When a service asks for more, TryLater is raised at once and the outbox waits."""
    max_retry_after: float = LONGEST_RETRY_AFTER
    """The longest wait that a service may ask for."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as the connectors' pure functions build it. Its repr shows neither headers, query nor body."""

    method: str
    url: str = field(repr=False)  # an incoming webhook's URL is itself the secret
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_secret(self) -> bool:
        """Whether its headers hold credentials."""
        return any(name.lower() in ("authorization", "cookie", "x-api-key") for name in self.headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered: a status below 400, its headers in lower case, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body read as JSON; None when it is empty. Raises TryLater when it is something else."""
        if not self.body.strip():
            return None
        try:
            return msgspec.json.decode(self.body)
        except JSON_FAULTS as error:
            said = f"the service answered {self.status} with a body that is not JSON: {error}"
            raise TryLater(said, about_connection=True) from error


def json_request(
    method: str,
    url: str,
    content: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Request:
    """A request that carries `content` as JSON, or no body when it is None, and accepts JSON."""
    sent = {"Accept": "application/json", **(headers or {})}
    body = b""
    if content is not None:
        body = json_bytes(msgspec.json.encode(content))
        sent["Content-Type"] = "application/json"
    return Request(method, url, sent, body, query or {})


def read_words(body: bytes) -> str:
    """An answer's own words, of whatever form, shortened to one line."""
    text = " ".join(body.decode("utf-8", "replace").split())
    return text if len(text) <= WORDS else text[: WORDS - 1] + "…"


def read_retry_after(value: str | None, now: float, most: float) -> float | None:
    """The seconds that a Retry-After header asks to wait at the Unix time `now`, at most `most`; None without one.

    Both forms of RFC 9110, section 10.2.3: seconds, or an HTTP date.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS(value):
        return min(float(value), most)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, moment - now), most)


_sending: ContextVar[bool] = ContextVar("sending", default=False)


class _NotOurs(logging.Filter):
    """httpx logs each URL, and that of an incoming webhook is a secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the request is not of a Sender."""
        return not _sending.get()


logging.getLogger("httpx").addFilter(_NotOurs())


@asynccontextmanager
async def _unsaid_by_httpx() -> AsyncIterator[None]:
    before = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(before)


class Sender:
    """Sends requests over kept connections; made once for a process or a connector, closed at its end.

    Proxies and credentials of the environment are not used: what is sent where is in the settings alone.
    """

    def __init__(
        self,
        retries: RetryPolicy | None = None,
        *,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` for servers with certificates of a private authority; certificates are always checked."""
        self._retries = retries or RetryPolicy()
        self._clock = clock
        self._tls = tls
        self.retried: int = 0
        """Tries in line after the first, since the start."""

    async def send(
        self, service: str, request: Request, *, words: Callable[[bytes], str] = read_words, retry: bool = True
    ) -> Answer:
        """The service's answer, after up to `RetryPolicy.attempts` tries.

        `service` names it in messages; `words` finds its own words in the body of a refusal. `retry=False` tries once.
        Raises Refused and TryLater as the file's head says, and MissingExtra without httpx.
        """
        with needs(service, "connectors"):
            import httpx  # noqa: F401
        attempts = self._retries.attempts if retry else 1
        for attempt in range(1, attempts):
            try:
                return await self._try(service, request, words)
            except TryLater as error:
                delay = self._delay(error, attempt)
                if delay is None:
                    raise
                log.info("a service is asked again", service=service, seconds=round(delay, 2), error=str(error))
            await asyncio.sleep(delay)
            self.retried += 1
        return await self._try(service, request, words)

    async def close(self) -> None:
        """Give the connections back."""
        if "_client" in vars(self):
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        """Made for the first request: a server that sends nothing needs no httpx."""
        import httpx

        return httpx.AsyncClient(
            timeout=httpx.Timeout(self._retries.timeout, connect=self._retries.connect_timeout),
            follow_redirects=False,
            trust_env=False,
            verify=self._tls or _public_authorities(),
            headers={"User-Agent": "brain-eventstream"},
        )

    def _delay(self, error: TryLater, failures: int) -> float | None:
        """The seconds to wait before another try in line; None for no further one."""
        if error.service_status in _CREDENTIALS:
            return None
        if error.retry_after is None:
            return retry_delay(failures, self._retries.wait, self._retries.max_wait)
        return error.retry_after if error.retry_after <= self._retries.max_wait else None

    async def _try(self, service: str, request: Request, words: Callable[[bytes], str]) -> Answer:
        import httpx

        if request.is_secret and sends_in_the_clear(request.url):
            said = f"{service} is not asked: plain HTTP would show the credentials to others; set an https URL"
            raise TryLater(said, about_connection=True)
        try:
            async with (
                _unsaid_by_httpx(),
                asyncio.timeout(self._retries.timeout),  # httpx's own time-outs start again with every piece
                self._client.stream(
                    request.method,
                    request.url,
                    params=dict(request.query) or None,
                    headers=dict(request.headers),
                    content=request.body or None,
                ) as response,
            ):
                body = await _read(service, response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            # The text of httpx' errors may hold the URL, which may be a secret: only their kind is shown.
            raise TryLater(f"{service} does not answer: {_kind(error)}", about_connection=_is_lasting(error)) from None
        return self._judge(service, response, body, words)

    def _judge(self, service: str, response: httpx.Response, body: bytes, words: Callable[[bytes], str]) -> Answer:
        status = response.status_code
        if status < 300:
            return Answer(status, dict(response.headers), body)
        said = words(redacted_body(body))  # it is logged and kept
        if status >= 500 or status in _LATER:
            wait = read_retry_after(response.headers.get("retry-after"), self._clock(), self._retries.max_retry_after)
            hint = "; check the credentials in the settings" if status in _CREDENTIALS else ""
            raise TryLater(f"{service} answered {status}: {said or 'no reason given'}{hint}", wait, status)
        said = said or ("a redirect, which is not followed; set the final URL" if status < 400 else "")
        raise Refused(service, status, said, dict(response.headers))


@cache
def _public_authorities() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context(trust_env=False)


async def _read(service: str, response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > ANSWER_BYTES:
            raise TryLater(f"{service} answered {response.status_code} with more than {ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)


def _is_lasting(error: Exception) -> bool:
    """Whether only a person can mend it."""
    import httpx

    return isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL)) or certificate_fault(error) is not None


def _kind(error: Exception) -> str:
    import httpx

    match error:
        case httpx.TimeoutException() | TimeoutError():
            return "timed out"
        case httpx.ConnectError():
            if (fault := certificate_fault(error)) is not None:
                return fault
            return "no connection; check the address in the settings and the network"
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return "the URL in the settings is not valid; it must start with https:// or http://"
        case _:
            return f"the connection broke ({type(error).__name__})"
