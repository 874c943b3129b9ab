"""Telemetry over a real server: OpenTelemetry's own exporter, sources over WebSocket, recordings, forwards."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from brain.errors import Conflict, InvalidInput
from brain.kit.database import open_database
from brain.server.running import Running
from brain.settings import Settings
from brain.telemetry import tables
from brain.telemetry.claims import PATIENCE
from brain.telemetry.client import SourceClient
from brain.telemetry.committer import Committer
from brain.telemetry.ingest import Ingest
from brain.telemetry.otlp import OtlpBody
from brain.telemetry.requests import JSON, PROTOBUF, Calls
from brain.telemetry.settings import TelemetrySettings
from brain.telemetry.tables import make_tables
from brain.telemetry.usage import UsageBook
from support.command import Command
from support.server import ServeThread, running_server, without_consumers
from support.sizes import sizes
from support.spans import CHAT, TOKENS, Span, as_json, protobuf, usage_in
from support.waiting import until, wait_until

Server = tuple[Running, httpx.AsyncClient]
Fault = Callable[[sa.Engine], AbstractContextManager[None]]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server with windows of a second and quick credit."""
    telemetry = {"usage_seconds": 1, "credit": 100, "prices": {"fake-1": {"input": 2, "output": 8}}}
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/brain.db", telemetry=telemetry)) as both:
        yield both


async def events(client: httpx.AsyncClient, pattern: str) -> list[dict[str, Any]]:
    found = await client.get("/api/events", params={"pattern": pattern, "limit": 1000})
    return [one["event"] for one in found.json()["events"]]


def socket_url(running: Running, source: str) -> str:
    return f"{running.url.replace('http', 'ws', 1)}/api/telemetry/ws/{source}"


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the server closes it."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as error:
        received = error.rcvd
    return (received.code, received.reason) if received is not None else (0, "lost")


def export_spans(url: str, runs: int) -> Counter[str]:
    """Agent runs of the SDK, each with two calls of a model and one of a tool; the true tokens by agent."""
    provider = TracerProvider(resource=Resource({"service.name": "fleet"}))
    exporter = OTLPSpanExporter(endpoint=f"{url}/api/telemetry/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=20_000))
    tracer = provider.get_tracer("fleet")
    tokens: Counter[str] = Counter()
    for run in range(runs):
        agent = f"agent-{run % 7}"
        total = {"gen_ai.usage.input_tokens": 2 * run, "gen_ai.usage.output_tokens": 6}
        start = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}
        with tracer.start_as_current_span("invoke_agent", attributes=start) as span:
            for _ in range(2):
                leaf = {**CHAT, "gen_ai.usage.input_tokens": run, "gen_ai.usage.output_tokens": 3}
                with tracer.start_as_current_span("chat", attributes=leaf):
                    tokens[agent] += run + 3
            tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
            with tracer.start_as_current_span("execute_tool", attributes=tool):
                pass
            span.set_attributes(total)  # as strands and agent-framework do
    provider.shutdown()
    return tokens


@pytest.mark.parametrize("runs", sizes(100, 2_500))
async def test_spans_of_the_sdk_give_the_true_sums_by_agent(server: Server, runs: int) -> None:
    """Four spans a run: 400, and 10,000 in the long run. The total on the span of an agent is added nowhere."""
    running, client = server
    true = await asyncio.to_thread(export_spans, running.url, runs)
    rows = (await client.get("/api/telemetry/usage")).json()
    assert {row["agent"]: row["input_tokens"] + row["output_tokens"] for row in rows} == true
    assert sum(row["calls"] for row in rows) == 3 * runs
    cost = sum(row["cost"] for row in rows)
    assert cost == pytest.approx((sum(true.values()) - 6 * runs) * 2e-6 + 6 * runs * 8e-6)
    (service,) = (await client.get("/api/telemetry/services")).json()
    assert (service["service"], service["traces"], service["refused"]) == ("fleet", 4 * runs, 0)

    async def announced() -> bool:
        found = [one["payload"] for one in await events(client, "telemetry.agent_usage")]
        windows = Counter((one["agent_id"], one["window_started_at"]) for one in found)
        assert not windows or max(windows.values()) == 1  # one event an agent a window
        sums: Counter[str] = Counter()
        for one in found:
            sums[one["agent_id"]] += one["input_tokens"] + one["output_tokens"]
        return sums == true

    await until(announced)


async def test_what_an_exporter_is_answered(server: Server) -> None:
    _, client = server
    url = "/api/telemetry/v1/traces"
    body = protobuf([Span(1, 2, 0, {**CHAT, **TOKENS}), Span(0, 0, 0, {})])
    packed = {"content-type": PROTOBUF, "content-encoding": "gzip"}
    for _ in range(3):  # sent again, it is answered in the same way and counted once
        done = await client.post(url, content=gzip.compress(body.data), headers=packed)
        assert (done.status_code, done.headers["content-type"]) == (200, PROTOBUF)
        assert b"spans without a valid trace id or span id" in done.content
    done = await client.post(
        url, content=as_json([Span(1, 2, 0, {**CHAT, **TOKENS})]).data, headers={"content-type": JSON}
    )
    assert (done.status_code, done.json()) == (200, {})
    usage = (await client.get("/api/telemetry/usage", params={"by": "model"})).json()
    assert [(row["name"], row["calls"], row["input_tokens"]) for row in usage] == [("fake-1", 1, 120)]
    for content, kind, status in (
        (b"garbage", PROTOBUF, 400),
        (b'{"resourceSpans": 5}', JSON, 400),
        (b"{}", "text/plain", 415),
        (gzip.compress(b" " * (17 << 20)), PROTOBUF, 400),
        (b" " * (17 << 20), JSON, 413),
    ):
        assert (await client.post(url, content=content, headers={"content-type": kind})).status_code == status
    bomb = await client.post(url, content=gzip.compress(b" " * (17 << 20)), headers=packed)
    assert bomb.status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body.data), 7):
            yield body.data[at : at + 7]

    chunked = await client.post(url, content=pieces(), headers={"content-type": PROTOBUF})
    assert chunked.status_code == 200
    for signal, key in (("metrics", "resourceMetrics"), ("logs", "resourceLogs")):
        assert (await client.post(f"/api/telemetry/v1/{signal}", json={key: []})).json() == {}


@pytest.mark.parametrize("form", ["protobuf", "json"])
async def test_what_a_retry_may_save_is_answered_503(form: str) -> None:
    """No database there, and too much waiting: neither 400 nor 500, which an exporter would not send again."""
    body = (protobuf if form == "protobuf" else as_json)([Span(1, 2, 0, {**CHAT, **TOKENS})])
    away = open_database("postgresql://nobody@127.0.0.1:1/none")
    ingest = Ingest(Committer(away, 1 << 16), UsageBook(TelemetrySettings()), 1 << 20)
    answers = await asyncio.gather(*(ingest.take(body) for _ in range(3)))
    large = OtlpBody(body.signal, body.media_type, "", body.data + b" " * (1 << 16))
    answers += await asyncio.gather(ingest.take(body), ingest.take(large))
    assert [answer.status_code for answer in answers] == [503] * 5
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    away.dispose()


@contextmanager
def full_disk(engine: sa.Engine) -> Iterator[None]:
    """SQLite's own bound of the file: it answers as when the disk is full."""

    def bound(pages: int) -> None:
        with engine.connect() as db:
            db.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    bound(1)  # at least what there is
    yield
    bound(1 << 30)


@contextmanager
def locked_database(engine: sa.Engine) -> Iterator[None]:
    """Another process writes, and takes its time."""
    other = sqlite3.connect(str(engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def read_only_database(engine: sa.Engine) -> Iterator[None]:
    """The rights to the file, or the disk itself."""

    def only(reading: str) -> None:
        connection = engine.raw_connection()
        connection.cursor().execute(f"PRAGMA query_only={reading}")
        connection.close()

    only("ON")
    yield
    only("OFF")


@pytest.mark.parametrize(("fault", "patience"), [(full_disk, 60.0), (locked_database, 0.5), (read_only_database, 60.0)])
async def test_a_fault_of_the_disk_is_answered_503_and_nothing_is_lost_by_it(
    tmp_path: Path, fault: Fault, patience: float
) -> None:
    """Sent again afterwards all is stored, and counted once; also what was stored after its sender had given up."""
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    make_tables(engine)
    committer, book = Committer(engine, 1 << 24), UsageBook(TelemetrySettings())
    during, ingest = (Ingest(committer, book, 1 << 24, patience=seconds) for seconds in (patience, 60.0))
    bodies = [
        protobuf([Span(trace, id, 0, {**CHAT, **TOKENS}) for id in range(1, 1001)], service=f"service-{trace}")
        for trace in range(1, 6)
    ]
    with fault(engine):
        answers = await asyncio.gather(*(during.take(body) for body in bodies))
        assert [(answer.status_code, answer.headers.get("retry-after")) for answer in answers] == [(503, "2")] * 5
    wrong = OtlpBody("traces", PROTOBUF, "", b"garbage")
    answers = await asyncio.gather(*(ingest.take(body) for body in (*bodies, wrong)))
    assert [answer.status_code for answer in answers] == [200] * 5 + [400]
    found = usage_in(engine)
    assert found == {(f"service-{trace}", "fake-1"): (1000, 120_000, 17_000) for trace in range(1, 6)}
    engine.dispose()


async def test_what_is_sent_again_after_503_counts_once(tmp_path: Path) -> None:
    """Metrics have no ids: they are known by the request, be it stored by then, or still waiting."""
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    make_tables(engine)
    committer, book = Committer(engine, 1 << 24), UsageBook(TelemetrySettings())
    ingest = Ingest(committer, book, 1 << 24, patience=0.05)
    point = {"asInt": "1", "timeUnixNano": "1"}
    metric = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [point]}}]}]}]}
    body, other = (
        OtlpBody("metrics", JSON, "", json.dumps({**metric, "more": number}).encode()) for number in range(2)
    )

    def counted() -> int:
        with engine.connect() as db:
            return int(db.execute(sa.select(sa.func.sum(tables.received.c["items"]))).scalar() or 0)

    with locked_database(engine):
        answers = [await ingest.take(body), await ingest.take(body), await ingest.take(other)]
        assert [answer.status_code for answer in answers] == [503] * 3
    await until(lambda: counted() == 2)
    assert [(await ingest.take(one)).status_code for one in (body, other)] == [200, 200]
    assert counted() == 2, "stored too late, and once"
    await ingest.take(body)  # where nothing was answered 503, the same again is more of the same
    await until(lambda: counted() == 3)
    engine.dispose()


async def test_a_request_that_cannot_be_stored_keeps_no_other_from_it(tmp_path: Path) -> None:
    """A fault of ours in one of them is answered 503 as well, and counted; the others are stored."""

    class Faulty(UsageBook):
        def apply(self, db: sa.Connection, requests: Sequence[Calls], now: float) -> None:
            super().apply(db, requests, now)
            if any("bad" in request.items for request in requests):
                raise RuntimeError("a fault of ours")

    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    committer = Committer(engine, 1 << 24)
    ingest = Ingest(committer, Faulty(TelemetrySettings()), 1 << 24)
    bodies = [
        protobuf([Span(trace, 1, 0, {**CHAT, **TOKENS})], service=name)
        for trace, name in enumerate(("a", "bad", "b"), 1)
    ]
    answers = await asyncio.gather(*(ingest.take(body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert committer.failed == 1
    assert usage_in(engine) == {(name, "fake-1"): (1, 120, 17) for name in ("a", "b")}
    engine.dispose()


async def test_what_waits_when_the_server_closes_is_answered_503(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    make_tables(engine)
    ingest = Ingest(Committer(engine, 1 << 24), UsageBook(TelemetrySettings()), 1 << 24)
    body = protobuf([Span(1, 2, 0, {**CHAT, **TOKENS})])
    with locked_database(engine):
        asked = [asyncio.create_task(ingest.take(body)) for _ in range(100)]
        await until(lambda: any(task.get_name() == "telemetry commits" for task in asyncio.all_tasks()))
        (commits,) = (task for task in asyncio.all_tasks() if task.get_name() == "telemetry commits")
        commits.cancel()
        answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {503}
    engine.dispose()


async def test_a_source_goes_silent_and_comes_back(server: Server) -> None:
    running, client = server
    async with SourceClient(running.url, "robot-7", interval=0.2) as robot:
        await robot.send({"battery": 80.0, "docked": False}, t=1000.0)
        await robot.drain()

        async def stale() -> bool:
            return (await client.get("/api/telemetry/sources/robot-7")).json()["state"] == "stale"

        await until(stale)
        await robot.send({"battery": 70.0}, t=1001.0)
        robot.seq += 3  # three samples that are never sent
        await robot.send({"battery": 75.0}, t=1002.0)

    async def closed() -> bool:
        return (await client.get("/api/telemetry/sources/robot-7")).json()["state"] == "closed"

    await until(closed)
    found = (await client.get("/api/telemetry/sources/robot-7")).json()
    assert (found["state"], found["samples"], found["lost"], found["seq"]) == ("closed", 3, 3, 6)
    assert found["values"] == {"battery": 75.0, "docked": 0.0}
    (battery,) = (await client.get("/api/telemetry/sources/robot-7/series?since=0&name=battery")).json()
    assert battery == {"name": "battery", "at": 1000, "min": 70.0, "max": 80.0, "mean": 75.0, "count": 3, "last": 75.0}
    wanted = Counter({"connection_established": 1, "stale": 1, "recovered": 1, "gap": 1, "connection_closed": 1})

    async def all_there() -> bool:
        types = Counter(one["type"].removeprefix("telemetry.") for one in await events(client, "telemetry.*"))
        return types.pop("metrics_published", 0) in (1, 2) and types == wanted

    await until(all_there)
    (health,) = await events(client, "immune.event_published")
    assert (health["payload"]["kind"], health["payload"]["details"]["source_id"]) == ("AGENT_FAILURE", "robot-7")


async def test_two_live_connections_of_one_source_are_a_threat(server: Server) -> None:
    running, client = server
    async with connect(socket_url(running, "r1"), proxy=None) as first:
        await first.recv()

        async def send_on() -> None:
            for seq in range(1, 10_000):
                await first.send(json.dumps({"seq": seq, "values": {"x": 1}}))
                await first.recv()

        sending = asyncio.create_task(send_on())
        async with connect(socket_url(running, "r1"), proxy=None) as second:
            assert await closing(second) == (4409, "another connection of this source is live")
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        # The first one is silent now, and is taken over; it stays connected and sends, which is the same threat.
        async with connect(socket_url(running, "r1"), proxy=None) as third:
            assert json.loads(await asyncio.wait_for(third.recv(), 2 * PATIENCE + 20))["credit"] == 100
            await first.send(json.dumps({"seq": 10**6, "values": {"x": 9}}))
            assert await closing(first) == (4409, "another connection has taken this source over")
    (threat,) = (await client.get("/api/threats")).json()
    assert (threat["type"], threat["source"]) == ("telemetry_impersonation", "r1")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no json", "is not {seq, t, values}"),
        ('{"seq":0,"values":{}}', "seq: must be"),
        ('{"seq":1,"values":{"x":"1"}}', "is not"),
    ],
)
async def test_bad_samples_end_a_connection_with_the_reason(server: Server, line: str, words: str) -> None:
    running, _ = server
    async with connect(socket_url(running, "bad"), proxy=None) as socket:
        await socket.recv()
        await socket.send(line)
        code, reason = await closing(socket)
    assert code == 4400
    assert words in reason


async def test_a_source_that_ignores_its_credit_is_refused(server: Server) -> None:
    running, _ = server
    async with connect(socket_url(running, "fast"), proxy=None) as socket:
        await socket.recv()
        await socket.send("\n".join(json.dumps({"seq": n, "values": {}}) for n in range(1, 1001)))
        code, reason = await closing(socket)
    assert (code, reason) == (4429, "more samples than the credit are under way")


async def test_sockets_need_the_key_and_take_no_other_pages(tmp_path: Path) -> None:
    settings = without_consumers(f"sqlite:///{tmp_path}/brain.db", api_key=SecretStr("open sesame"))
    async with running_server(settings) as (running, _):
        with pytest.raises(InvalidStatus) as without:
            await connect(socket_url(running, "r1"), proxy=None)
        assert without.value.response.status_code == 401
        with_key = {"Authorization": "Bearer open sesame"}
        with pytest.raises(InvalidStatus) as elsewhere:
            await connect(
                socket_url(running, "r1"), proxy=None, additional_headers=with_key, origin="http://evil.example"
            )  # type: ignore[arg-type]
        assert elsewhere.value.response.status_code == 403
        async with SourceClient(running.url, "r1", api_key="open sesame") as robot:
            await robot.send({"x": 1.0})
        assert robot.stored == 1


async def test_the_client_says_what_ends_it(server: Server) -> None:
    running, _ = server
    async with SourceClient(running.url, "one") as first:
        await first.send({"x": 1.0})
        await first.drain()

        async def send_on() -> None:
            while True:
                await first.send({"x": 1.0})
                await first.drain()

        sending = asyncio.create_task(send_on())
        with pytest.raises(Conflict, match="another connection of this source is live"):
            async with SourceClient(running.url, "one"):
                pass
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    async with SourceClient(running.url, "two") as second:
        await second.send({"": 1.0})
        with pytest.raises(InvalidInput, match="is no name"):
            await second.drain()


def test_a_recording_is_replayed_recorded_cut_off_and_recovered(tmp_path: Path, brain: Command) -> None:
    from brain.telemetry.recording import Recorder, read_recording

    file = tmp_path / "run.mcap"
    with Recorder(file) as recorder:
        for seq in range(1, 201):
            recorder.add("robot", {"seq": seq, "t": 1000 + seq / 10, "values": {"x": seq / 3}})
    server = ServeThread(without_consumers(f"sqlite:///{tmp_path}/brain.db")).start()
    try:
        replayed = brain("telemetry", "replay", file, "--speed", "0", "--url", server.url)
        assert replayed.out == "200 samples sent, 200 stored, 1 connections\n", replayed.err
        wait_until(lambda: [one["state"] for one in brain("telemetry", "sources", "--json").json] == ["closed"])
        (source,) = brain("telemetry", "sources", "--json").json
        assert (source["id"], source["samples"], source["lost"]) == ("run", 200, 0)
    finally:
        server.stop()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(file.read_bytes()[:-4000])
    refused = brain("telemetry", "replay", cut, "--url", "http://127.0.0.1:1")
    assert (refused.code, "is not finished; run: brain telemetry recover" in refused.err) == (2, True)
    recovered = brain("telemetry", "recover", cut, tmp_path / "whole.mcap")
    whole = list(read_recording(tmp_path / "whole.mcap"))
    assert recovered.out == f"{len(whole)} messages recovered\n"
    assert 150 < len(whole) < 200
    assert whole == list(read_recording(file))[: len(whole)]


async def test_what_comes_in_is_forwarded_without_prompts(tmp_path: Path) -> None:
    """To another server of ours, which is an OpenTelemetry backend as any other."""
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/backend.db")) as (backend, asked):
        forward = {"forward": {"endpoint": f"{backend.url}/api/telemetry"}}
        settings: Settings = without_consumers(f"sqlite:///{tmp_path}/brain.db", telemetry=forward)
        async with running_server(settings) as (_, client):
            secret = {"gen_ai.input.messages": "SECRET", "gen_ai.agent.name": "ann"}
            body = protobuf([Span(1, 2, 0, {**CHAT, **TOKENS, **secret})])
            await client.post("/api/telemetry/v1/traces", content=body.data, headers={"content-type": PROTOBUF})

            async def arrived() -> bool:
                return [row["agent"] for row in (await asked.get("/api/telemetry/usage")).json()] == ["ann"]

            await until(arrived)

            async def counted() -> bool:  # once the answer has come back
                return "brain_telemetry_forwarded_total 1.0" in (await client.get("/metrics")).text

            await until(counted)
            assert "brain_telemetry_content_bytes_total 8.0" in (await client.get("/metrics")).text
