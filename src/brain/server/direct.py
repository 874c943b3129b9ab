"""Quick answers given where the bytes of a request come in: without a task, a scope and ten middlewares for each.

Only what is plainly right is answered here, by the same checks (security.py says who may ask, quick.py what is plain).
A request of which anything is unusual, refused or not whole goes the ordinary way from its first byte, as if this file
was not there: refusals, their words and their notes have one place. tests/integration/test_direct_answers.py compares
both. One refusal is given here, too: that to a sender beyond a limit, since who asks too much asks very often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from brain.charter import Principal
from brain.charter.principal import requested_by
from brain.logs import Log
from brain.plugins import Quick
from brain.server.correlation import given_id, new_id, trace_of
from brain.server.headers import OF_ANSWERS
from brain.server.heads import END, Head, KnownHeads
from brain.server.quick import is_plain
from brain.server.security import Gate
from brain.server.too_many import pause
from brain.stream.giving_way import requests

log: Log = Log("brain.server.direct")

BODY_SECONDS = 0.002
"""How long is waited for the body of a request whose client sends it apart from the head, as most of Python do."""
_METHOD = b"POST "
_NO_MATTER = frozenset((b"accept", b"accept-encoding", b"accept-language", b"user-agent", b"connection"))
_LOOKED_AT = frozenset(
    (
        *(b"host", b"origin", b"sec-fetch-site", b"authorization"),
        *(b"content-type", b"content-length"),
        *(b"x-correlation-id", b"traceparent", b"tracestate"),
    )
)
_HEADERS = _NO_MATTER | _LOOKED_AT
"""A request with any other header goes the ordinary way, where somebody may look at it."""
_STATUS = {200: b"HTTP/1.1 200 OK\r\n", 429: b"HTTP/1.1 429 Too Many Requests\r\n"}
_SAFE = b"".join(b"%s: %s\r\n" % header for header in OF_ANSWERS)
_HEAD = (
    b"content-length: %d\r\ncontent-type: application/json\r\n"
    + _SAFE.replace(b"%", b"%%")
    + b"x-correlation-id: %s\r\n\r\n"
)


class _Known(NamedTuple):
    """What a head says, of requests that may be answered here."""

    length: int
    authorization: str
    correlation_id: str | None
    trace: Mapping[str, str]


class Answer(NamedTuple):
    """One to the first request of some bytes."""

    status: int
    headers: bytes
    """But the date, with the empty line that ends them."""
    body: bytes
    length: int
    """How many bytes the request has."""
    seconds: float = 0.0
    """So long is waited before it is sent."""


class DirectAnswers:
    """Those of one server. `quick` gives what answers the POSTs at a path; None until its routes are known."""

    def __init__(self, quick: Callable[[str], Quick | None], gate: Gate, limit: int) -> None:
        self._quick = quick
        self._gate = gate
        self._limit = limit
        self._by_path: dict[bytes, tuple[str, Quick]] = {}
        self._heads = KnownHeads(self._judged)

    def answer(self, data: bytes, address: str | None) -> Answer | None:
        """That to the first request; None where `data` does not begin with a whole one that can be answered here."""
        path, answer = self._asked(data)
        begin = data.find(END) + len(END)
        known = None if answer is None or begin < len(END) else self._heads.find(data[:begin])
        if answer is None or known is None:
            return None
        end = begin + known.length
        if len(data) < end:
            return None
        id = known.correlation_id or new_id()
        who: Principal | Response | None = None
        try:
            who = self._gate.let_in(path, known.authorization, address)
            if isinstance(who, Principal):
                with requested_by(who, id, known.trace):
                    body = answer(data[begin:end])
                if body is not None:
                    return Answer(200, _HEAD % (len(body), id.encode()), body, end)
            elif who is not None:
                return _refusal(who, id, end)
        except Exception:
            log.exception("a quick answer failed; the request goes the ordinary way", path=path)
        if isinstance(who, Principal):
            self._gate.give_back(path, who)
        return None

    def may_answer(self, head: bytes) -> bool:
        """Whether a request with this head may be answered here once its body is there."""
        return head.endswith(END) and self._asked(head)[1] is not None and self._heads.find(head) is not None

    def _asked(self, data: bytes) -> tuple[str, Quick | None]:
        """The path of the request, and what gives the quick answers there."""
        target = data[len(_METHOD) : data.find(b" ", len(_METHOD))]
        found = self._by_path.get(target)
        if found is not None:
            return found
        path = target.decode("latin-1")
        answer = self._quick(path)
        if answer is not None:
            self._by_path[target] = path, answer
        return path, answer

    def _judged(self, head: Head) -> _Known | None:
        """What is to be known of such requests; None where they go the ordinary way."""
        if not head.headers.keys() <= _HEADERS or not is_plain(head.headers.items()):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers.items()}
        length = headers.get("content-length", "")
        if not length.isdecimal() or not 0 < int(length) <= self._limit:
            return None
        if not self._gate.is_plain("POST", head.target.decode("latin-1"), headers):
            return None
        trace = trace_of([headers[name] for name in ("traceparent",) if name in headers], headers.get("tracestate", ""))
        authorization = headers.get("authorization", "")
        return _Known(int(length), authorization, given_id(headers.get("x-correlation-id", "")), trace)


def _refusal(refused: Response, id: str, length: int) -> Answer:
    """The answer that the ordinary way gives, after the pause of the ordinary way."""
    headers = b"".join(b"%s: %s\r\n" % header for header in refused.raw_headers)
    headers = b"%s%sx-correlation-id: %s\r\n\r\n" % (headers, _SAFE, id.encode())
    return Answer(refused.status_code, headers, bytes(refused.body), length, pause())


def direct(base: Any, answers: DirectAnswers) -> Callable[..., asyncio.Protocol]:
    """A subclass of uvicorn's protocol over httptools that answers so what it can."""

    class Direct(base):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self._is_within = False  # a request has begun, and is not whole
            self._answered_at = 0.0
            self._dated: tuple[object, bytes] = (None, b"")
            self._head = b""  # of a request whose body is about to come
            self._end_of_wait: asyncio.TimerHandle | None = None
            self._later: asyncio.Handle | None = None  # until then nothing else is looked at
            self._answer: Answer | None = None  # one that is sent then
            self._rest = b""  # what came after the request

        def data_received(self, data: bytes) -> None:
            if self._later is not None:
                self._rest += data
                return
            if self._end_of_wait is not None:
                data = self._head + data
                self._wait_no_more()
            elif data.startswith(_METHOD) and self._is_free() and answers.may_answer(data):
                self._unset_keepalive_if_required()
                self.head_is_whole()
                self._head = data
                self._end_of_wait = self.loop.call_later(BODY_SECONDS, self._go_on)
                return
            if data.startswith(_METHOD) and self._is_free():
                found = answers.answer(data, self.client[0] if self.client else None)
                if found is not None:
                    self._give(found, data[found.length :])
                    return
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self._wait_no_more()
            self._let_go()
            super().connection_lost(exc)

        def shutdown(self) -> None:
            if self._end_of_wait is not None:  # a request has begun, and is answered yet
                self._go_on()
            found, rest = self._let_go()
            if found is not None:
                self._send(found)
            elif rest:
                super().data_received(rest)
            super().shutdown()

        def _give(self, found: Answer, rest: bytes) -> None:
            """Send the answer, be it later. Meanwhile nothing is read: this connection shall keep nobody busy. With
            what else came with the request it is the turn of other connections first."""
            if found.seconds > 0:
                self._unset_keepalive_if_required()
                self.head_is_whole()
                self._answer = found
                self._later = self.loop.call_later(found.seconds, self._take_up)
            else:
                self._send(found)
                requests.give_way()
                if not rest:
                    return
                self._later = self.loop.call_soon(self._take_up)
            self._rest = rest
            self.flow.pause_reading()

        def _take_up(self) -> None:
            found, rest = self._let_go()
            if self.transport.is_closing():
                return
            if found is not None:
                self._send(found)
            self.flow.resume_reading()
            if rest:
                self.data_received(rest)

        def _let_go(self) -> tuple[Answer | None, bytes]:
            """What was put off; it no longer is."""
            found, rest = self._answer, self._rest
            self._answer, self._rest = None, b""
            if self._later is not None:
                self._later.cancel()
                self._later = None
            return found, rest

        def _go_on(self) -> None:
            """Go the ordinary way with what is there."""
            head = self._head
            self._wait_no_more()
            super().data_received(head)

        def _wait_no_more(self) -> None:
            if self._end_of_wait is not None:
                self._end_of_wait.cancel()
                self._end_of_wait, self._head = None, b""

        def on_message_begin(self) -> None:
            self._is_within = True
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._is_within = False
            super().on_message_complete()

        def timeout_keep_alive_handler(self) -> None:
            left = self._answered_at + self.timeout_keep_alive - self.loop.time()
            if left > 0:
                self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
            else:
                super().timeout_keep_alive_handler()

        def _is_free(self) -> bool:
            """Whether the next byte is the first of a request, and its answer can be sent at once."""
            if self._is_within or self.has_certificate or self.flow.write_paused or self.transport.is_closing():
                return False
            return self.cycle is None or bool(self.cycle.response_complete)

        def _send(self, answer: Answer) -> None:
            self.transport.write(_STATUS[answer.status] + self._date() + answer.headers + answer.body)
            self.server_state.total_requests += 1
            self.head_is_whole()
            self._answered_at = self.loop.time()
            if self.timeout_keep_alive_task is None:  # else it is seen when that one is over
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

        def _date(self) -> bytes:
            """The first headers of an answer. Their list is a new one when the date is."""
            headers, lines = self._dated
            if headers is not self.server_state.default_headers:
                headers = self.server_state.default_headers
                lines = b"".join(b"%s: %s\r\n" % header for header in headers)
                self._dated = headers, lines
            return lines

    return Direct
