"""Requests answered where their bytes come in get just the answer of the ordinary way, and leave the same events."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partialmethod
from typing import Any

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from brain import Event
from brain.access.repository import Keys
from brain.access.settings import AccessSettings
from brain.server import direct, too_many
from brain.server.direct import Answer, DirectAnswers
from brain.server.heads import read_head
from brain.server.too_many import PAUSE
from brain.store import open_store
from brain.stream import EventStream
from support.server import ServeThread, without_consumers
from support.waiting import wait_until

ONE, MANY = "/api/policy/evaluate", "/api/policy/evaluate-many"
BEFORE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Sent ahead in the same bytes, it has the request after it go the ordinary way."""
CONTEXT: dict[str, Any] = {"agent_id": "ann", "agent_role": "ops", "action": "read", "resource": "db", "params": {}}
_CHANGING = re.compile(rb"(date: |x-correlation-id: req_)[^\r]*")


@dataclass
class Served:
    """A server with a key of an operator and one of an evaluator for `ann`, and how many requests had it directly."""

    port: int
    url: str
    keys: dict[str, str]
    direct: list[bytes]

    def ask(self, *parts: bytes, answers: int = 1) -> list[bytes]:
        """So many answers to these bytes, or fewer where the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                sender.sendall(part)
            found = b""
            while len(split(found)) < answers and (data := sender.recv(65_536)):
                found += data
        return split(found)

    def both(self, request: bytes) -> tuple[bytes, bytes]:
        """Its answer where it is the first of its connection, and by the ordinary way."""
        return alike(self.ask(request)[0]), alike(self.ask(BEFORE + request, answers=2)[-1])


def alike(answer: bytes) -> bytes:
    """The answer without what is another one each time."""
    return _CHANGING.sub(rb"\1", answer)


def split(found: bytes) -> list[bytes]:
    """The whole answers in it, without `100 Continue`."""
    answers = []
    while b"\r\n\r\n" in found:
        head, _, rest = found.partition(b"\r\n\r\n")
        length = int(re.findall(rb"content-length: (\d+)|$", head)[0] or 0)
        if len(rest) < length:
            break
        if not head.startswith(b"HTTP/1.1 100"):
            answers.append(head + b"\r\n\r\n" + rest[:length])
        found = rest[length:]
    return answers


def request(path: str = ONE, body: bytes | None = None, *headers: tuple[str, str], method: str = "POST") -> bytes:
    """The bytes of a request; without other headers one that is plain."""
    given = json.dumps(CONTEXT).encode() if body is None else body
    names = {name.lower() for name, _ in headers}
    usual = (("Host", "localhost"), ("Content-Type", "application/json"), ("Content-Length", str(len(given))))
    lines = [f"{name}: {value}" for name, value in (*usual, *headers) if name.lower() not in names or value]
    lines = [line for line in lines if not line.endswith(": -")]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines])
    return head.encode("latin-1") + b"\r\n\r\n" + given


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("direct")
    url = f"sqlite:///{folder}/b.db"
    made = Keys(open_store(url), None)
    keys = {
        "operator": made.new("ops", "operator").secret,
        "evaluator": made.new("ann", "evaluator", agents=["ann"]).secret,
        "viewer": made.new("eve", "viewer").secret,
        "revoked": made.new("old", "operator").secret,
    }
    made.revoke("old")
    noticed: list[bytes] = []
    answer = DirectAnswers.answer

    def noted(self: DirectAnswers, data: bytes, address: str | None) -> Answer | None:
        found = answer(self, data, address)
        if found is not None:
            noticed.append(data)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DirectAnswers, "answer", noted)
        patch.setattr(uvicorn.Config, "__init__", partialmethod(uvicorn.Config.__init__, timeout_keep_alive=1))
        server = ServeThread(without_consumers(url, api_key=SecretStr("k" * 30))).start()
        try:
            found = Served(int(server.url.rpartition(":")[2]), url, keys, noticed)
            rule = {
                "name": "read",
                "effect": "ALLOW",
                "conditions": [{"field": "action", "operator": "==", "value": "read"}],
            }
            body = json.dumps(rule).encode()
            made_it = found.ask(request("/api/policy/rules", body, ("Authorization", f"Bearer {'k' * 30}")))
            assert made_it[0].startswith(b"HTTP/1.1 201")
            yield found
        finally:
            server.stop()


BODIES = st.sampled_from(
    [
        None,
        b"",
        b"{}",
        b"[]",
        b'{"action": "read", "action": "write"}',
        b'{"action": "read"',
        b'{"action": "write", "agent_id": "ann"}',
        b'{"action": "read", "agent_id": "bob"}',
        b'{"action": "read", "agent": {"id": "ann"}}',
        b'{"contexts": [{"action": "read", "agent_id": "ann"}, {"action": "write", "agent_id": "ann"}]}',
        b'{"contexts": []}',
        '{"action": "read", "agent_id": "ann", "x": "m\u00fcde"}'.encode(),
    ]
)
HEADERS = st.lists(
    st.sampled_from(
        [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Type", "text/plain"),
            ("Host", "elsewhere.example"),
            ("Host", "-"),
            ("Origin", "http://localhost"),
            ("Origin", "http://elsewhere.example"),
            ("Origin", "http://["),
            ("Sec-Fetch-Site", "cross-site"),
            ("Accept", "*/*"),
            ("User-Agent", "a test"),
            ("Connection", "close"),
            ("Connection", "keep-alive"),
            ("Cookie", "brain_session=x"),
            ("Idempotency-Key", "one"),
            ("Expect", "100-continue"),
            ("Transfer-Encoding", "chunked"),
            ("X-Correlation-Id", "mine"),
            ("X-Correlation-Id", "not mine"),
            ("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("Traceparent", "no trace"),
            ("X-Own", "1"),
            ("Brain-Delegation", "x"),
        ]
    ),
    max_size=3,
)
SENDERS = st.sampled_from(["operator", "evaluator", "viewer", "revoked", "unknown", "nobody"])


@given(
    st.sampled_from([ONE, MANY, f"{ONE}?a=1", f"{ONE}/", "/api/policy/explain", "/api/policy/%65valuate"]),
    st.sampled_from(["POST", "PUT", "GET"]),
    BODIES,
    HEADERS,
    SENDERS,
)
@example(ONE, "POST", None, [], "operator")
@example(ONE, "POST", None, [("X-Correlation-Id", "mine")], "evaluator")
@example(ONE, "POST", None, [("Origin", "http://[")], "operator")
@example(MANY, "POST", b'{"contexts": [{"action": "read", "agent_id": "ann"}]}', [], "evaluator")
def test_the_answer_is_that_of_the_ordinary_way(
    served: Served, path: str, method: str, body: bytes | None, headers: list[tuple[str, str]], sender: str
) -> None:
    key = served.keys.get(sender, "brn_" + "x" * 40)
    who = [] if sender == "nobody" else [("Authorization", f"Bearer {key}")]
    first, ordinary = served.both(request(path, body, *headers, *who, method=method))
    assert first == ordinary


@pytest.mark.parametrize(("path", "sender"), [(ONE, "operator"), (ONE, "evaluator"), (MANY, "operator")])
def test_what_is_plain_is_answered_at_once_and_its_events_are_the_same(served: Served, path: str, sender: str) -> None:
    body = json.dumps({"contexts": [CONTEXT]} if path == MANY else CONTEXT).encode()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    name = f"{sender}-{len(path)}"
    plain = request(
        path,
        body,
        ("Authorization", f"Bearer {served.keys[sender]}"),
        ("X-Correlation-Id", name),
        ("traceparent", trace),
    )
    served.direct.clear()
    first, ordinary = served.both(plain)
    assert first == ordinary
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert served.direct == [plain], "the one that is first of its connection, and only that"
    found: list[Event] = []

    def are_stored() -> bool:
        found[:] = [e for e in stream.replay_sync("policy.rule_evaluated") if e.meta["correlation_id"] == name]
        return len(found) == 2

    with EventStream.open_sync(served.url) as stream:
        wait_until(are_stored)
    one, other = found
    assert one.meta == other.meta
    assert one.meta["traceparent"] == trace
    assert {**one.payload, "evaluation_time_us": 0} == {**other.payload, "evaluation_time_us": 0}


def test_a_head_without_its_body_is_waited_for(served: Served) -> None:
    who = ("Authorization", f"Bearer {served.keys['operator']}")
    head, _, body = request(ONE, None, who).partition(b"\r\n\r\n")
    whole = alike(served.ask(request(ONE, None, who))[0])
    for parts in (
        (head + b"\r\n\r\n", body),
        (head + b"\r\n\r\n", body[:5], body[5:]),
        (head[:9], head[9:] + b"\r\n\r\n" + body),
    ):
        assert alike(served.ask(*parts)[0]) == whole
    assert whole.startswith(b"HTTP/1.1 200")


def test_many_requests_of_one_connection_are_answered_in_order(served: Served) -> None:
    who = ("Authorization", f"Bearer {served.keys['operator']}")
    plain = [request(ONE, None, who, ("X-Correlation-Id", f"n{number}")) for number in range(5)]
    other = request("/api/policy/explain", None, who, ("X-Correlation-Id", "other"))
    parts = plain[0], plain[1] + other + plain[2], plain[3] + plain[4][:50], plain[4][50:]
    found = b"".join(served.ask(*parts, answers=6))
    assert re.findall(rb"x-correlation-id: (\w+)", found) == [b"n0", b"n1", b"other", b"n2", b"n3", b"n4"]
    assert found.count(b"HTTP/1.1 200") == 6


def test_requests_that_come_at_once_are_answered_at_once_and_one_by_one(served: Served) -> None:
    who = ("Authorization", f"Bearer {served.keys['operator']}")
    plain = [request(ONE, None, who, ("X-Correlation-Id", f"n{number}")) for number in range(20)]
    served.direct.clear()
    found = b"".join(served.ask(b"".join(plain), answers=20))
    assert re.findall(rb"x-correlation-id: (\w+)", found) == [b"n%d" % number for number in range(20)]
    assert found.count(b"HTTP/1.1 200") == 20
    assert served.direct == [b"".join(plain[number:]) for number in range(20)]


def test_a_connection_is_closed_so_long_after_its_last_answer(served: Served) -> None:
    plain = request(ONE, None, ("Authorization", f"Bearer {served.keys['operator']}"))
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as sender:
        began = time.monotonic()
        while time.monotonic() - began < 1.2:
            sender.sendall(plain)
            last = time.monotonic()
            assert sender.recv(65_536).startswith(b"HTTP/1.1 200")
        assert sender.recv(65_536) == b""
        assert time.monotonic() - last >= 0.9


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\nA: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"POST / HTTP/1.1\nContent-Length: 4\n\n\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nA\r\n\r\n",
        b"nothing\r\n\r\n",
    ],
)
def test_heads_that_are_not_plain_are_not_read(raw: bytes) -> None:
    assert read_head(raw) is None


def test_a_plain_head_is_read() -> None:
    found = read_head(b"POST /a HTTP/1.1\r\nHost:  b\r\nX-Y: 1\r\n\r\n")
    assert found == (b"/a", {b"host": b"b", b"x-y": b"1"})


def test_an_origin_that_is_no_url_is_refused(served: Served) -> None:
    who = ("Authorization", f"Bearer {served.keys['operator']}")
    assert served.ask(request(ONE, None, who, ("Origin", "http://[")))[0].startswith(b"HTTP/1.1 403")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServeThread]:
    """A server that waits for a body for a minute, and for a head for a second."""
    monkeypatch.setattr(direct, "BODY_SECONDS", 60.0)
    server = ServeThread(without_consumers(access=AccessSettings(header_seconds=1.0))).start()
    try:
        yield server
    finally:
        if server._thread.is_alive():
            server.stop()


def test_a_head_that_waits_for_its_body_is_whole(patient: ServeThread) -> None:
    port = int(patient.url.rpartition(":")[2])
    head, _, body = request().partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as warm:
        warm.sendall(request())  # from then on the routes are known
        assert warm.recv(65_536).startswith(b"HTTP/1.1 200")
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as sender,
        socket.create_connection(("127.0.0.1", port), timeout=30) as silent,
    ):
        sender.sendall(head + b"\r\n\r\n")
        assert silent.recv(1) == b""  # it connected after the sender, and has had its second
        sender.sendall(body)
        assert sender.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_head_that_waits_for_its_body_when_the_server_stops_is_answered(patient: ServeThread) -> None:
    port = int(patient.url.rpartition(":")[2])
    head, _, body = request().partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as warm:
        warm.sendall(request())
        assert warm.recv(65_536).startswith(b"HTTP/1.1 200")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(head + b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port), timeout=30) as other:
            other.sendall(BEFORE)
            assert other.recv(65_536).startswith(b"HTTP/1.1 200")  # so the head is there
        stopping = threading.Thread(target=patient.stop)
        stopping.start()

        def is_closed() -> bool:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=30).close()
            except ConnectionError:  # refused; or reset, where it closes with this one in its queue
                return True
            return False

        wait_until(is_closed)
        sender.sendall(body)
        assert sender.recv(65_536).startswith(b"HTTP/1.1 200")
        stopping.join(30)


@pytest.fixture
def strict() -> Iterator[ServeThread]:
    """A server that answers one decision of each sender, and none in the next quarter of an hour."""
    server = ServeThread(without_consumers(access=AccessSettings(decisions_rate=0.001, reads_rate=0.001))).start()
    try:
        yield server
    finally:
        if server._thread.is_alive():
            server.stop()


def test_a_sender_beyond_its_limit_is_answered_as_by_the_ordinary_way(
    strict: ServeThread, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(int(strict.url.rpartition(":")[2]), "", {}, [])
    asked = request(ONE, None, ("X-Correlation-Id", "mine"))
    assert served.ask(asked)[0].startswith(b"HTTP/1.1 200")
    with caplog.at_level("WARNING", "brain.server.security"):
        first, ordinary = served.both(asked)
    assert first.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    seconds = re.compile(rb"retry-after: (\d+)")
    assert 900 < int(seconds.findall(first)[0]) <= 1_000
    assert seconds.sub(b"", first) == seconds.sub(b"", ordinary)
    assert b"\r\nx-correlation-id: mine\r\n" in first
    assert "requests beyond a limit" in caplog.text


def test_requests_after_one_beyond_the_limit_wait_for_its_answer(strict: ServeThread) -> None:
    served = Served(int(strict.url.rpartition(":")[2]), "", {}, [])
    asked = [request(ONE, None, ("X-Correlation-Id", f"n{number}")) for number in range(4)]
    read = request("/api/policy/rules", b"", ("X-Correlation-Id", "n4"), method="GET")
    began = time.monotonic()
    found = b"".join(served.ask(asked[0], asked[1] + asked[2], asked[3][:50], asked[3][50:] + read, answers=5))
    took = time.monotonic() - began
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"429", b"429", b"429", b"200"]
    assert re.findall(rb"x-correlation-id: (\w+)", found) == [b"n0", b"n1", b"n2", b"n3", b"n4"]
    assert took >= 3 * PAUSE


def test_who_waits_for_a_refusal_when_the_server_stops_has_it(
    strict: ServeThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = int(strict.url.rpartition(":")[2]), request()
    assert Served(port, "", {}, []).ask(asked)[0].startswith(b"HTTP/1.1 200")
    monkeypatch.setattr(too_many, "PAUSE", 600.0)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sender:
        sender.sendall(asked)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as other:
            other.sendall(BEFORE)
            assert other.recv(65_536).startswith(b"HTTP/1.1 200")  # so the other request is there
        strict.stop()
        assert sender.recv(65_536).startswith(b"HTTP/1.1 429")
        assert sender.recv(65_536) == b""


def test_a_request_that_is_left_to_the_ordinary_way_counts_once(strict: ServeThread) -> None:
    served = Served(int(strict.url.rpartition(":")[2]), "", {}, [])
    nested = json.dumps({"action": "read", "agent": {"id": "ann"}}).encode()
    assert served.ask(request(ONE, nested))[0].startswith(b"HTTP/1.1 200")
    assert served.ask(request(ONE, nested))[0].startswith(b"HTTP/1.1 429")
