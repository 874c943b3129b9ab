"""OTLP in, end to end: a sender in a process of its own posts ready bodies to `brain serve`, which stores and answers.

`python -m bench.telemetry [--spans N] [--mix all|leaves]` prints spans a second for protobuf and JSON, with gzip and
without; the CPU time of the server for 1,000 spans, user and system; and the share that the sender took of the CPUs.
Spans have 13 attributes and random ids; in the usual mix one of three is a call of a model that names its agent, one a
call of a tool, and one the span of an agent; with `leaves` all are calls of models. Each request is answered when its
transaction is committed. After each round the stored sums are compared with those that were sent.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
import psutil

BATCH = 512
SENDERS = 4
"""Requests that are under way at once."""
_RANDOM = random.Random(1)
_FILLER = {f"some.attribute.{n}": f"a value of some length, number {n}" for n in range(8)}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _id(size: int) -> str:
    return _RANDOM.randbytes(size).hex()


def spans(count: int, mix: str) -> list[dict[str, Any]]:
    """Spans as OTLP/JSON has them: in runs of three, or calls of models alone."""
    made = []
    for number in range(count):
        kind = 0 if mix == "leaves" else number % 3
        if number % 3 == 0 or mix == "leaves":
            trace, agent_span = _id(16), _id(8)
        own = (
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "fake-1",
                "gen_ai.agent.name": f"agent-{number % 9}",
            },
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.agent.name": "agent-1"},
            {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "agent-1"},
        )[kind]
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in {**_FILLER, **own}.items()]
        if kind != 1:
            attributes += [
                {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "120"}},
                {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "17"}},
            ]
        made.append(
            {
                "traceId": trace,
                "spanId": agent_span if kind == 2 else _id(8),
                "parentSpanId": "" if kind == 2 else agent_span,
                "name": "a span",
                "kind": 1,
                "startTimeUnixNano": "1800000000000000000",
                "endTimeUnixNano": "1800000001000000000",
                "attributes": attributes,
            }
        )
    return made


def bodies(count: int, mix: str, form: str, packed: bool) -> list[bytes]:
    """Ready bodies of BATCH spans each."""
    found = []
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "bench"}}]}
    for _ in range(count // BATCH):
        request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans(BATCH, mix)}]}]}
        data = json.dumps(request).encode()
        if form == "protobuf":
            data = _protobuf(request)
        found.append(gzip.compress(data, 1) if packed else data)
    return found


def _protobuf(request: dict[str, Any]) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    message = ExportTraceServiceRequest()
    for given in request["resourceSpans"]:
        resource = message.resource_spans.add()
        for one in given["resource"]["attributes"]:
            resource.resource.attributes.add(key=one["key"]).value.string_value = one["value"]["stringValue"]
        scope = resource.scope_spans.add()
        for span in given["scopeSpans"][0]["spans"]:
            made = scope.spans.add(
                trace_id=bytes.fromhex(span["traceId"]),
                span_id=bytes.fromhex(span["spanId"]),
                parent_span_id=bytes.fromhex(span["parentSpanId"]),
                name=span["name"],
                kind=span["kind"],
                start_time_unix_nano=int(span["startTimeUnixNano"]),
                end_time_unix_nano=int(span["endTimeUnixNano"]),
            )
            for one in span["attributes"]:
                value = made.attributes.add(key=one["key"]).value
                if "intValue" in one["value"]:
                    value.int_value = int(one["value"]["intValue"])
                else:
                    value.string_value = one["value"]["stringValue"]
    return message.SerializeToString()


def send(url: str, form: str, packed: bool, ready: list[bytes]) -> tuple[float, float]:
    """Post the bodies over a few connections; the seconds from the first to the last answer, and those of CPU."""
    kinds = {"protobuf": "application/x-protobuf", "json": "application/json"}
    head = f"POST /api/telemetry/v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kinds[form]}\r\n"
    head += "Content-Encoding: gzip\r\n" if packed else ""
    cpu = time.process_time()
    return asyncio.run(_send(url, head, ready)), time.process_time() - cpu


async def _send(url: str, head: str, ready: list[bytes]) -> float:
    waiting = list(reversed(ready))

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        while waiting:
            body = waiting.pop()
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            (length,) = (line[15:] for line in answer.lower().splitlines() if line.startswith(b"content-length:"))
            await reader.readexactly(int(length))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(SENDERS)))
    return time.perf_counter() - began


def run(count: int, mix: str) -> list[dict[str, Any]]:
    """A row for each form, on a server of its own."""
    rows = []
    for form, packed in (("protobuf", False), ("json", False), ("protobuf", True), ("json", True)):
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"form": form, "gzip": packed, **_measured(Path(folder), form, packed, count, mix)})
    return rows


def _measured(folder: Path, form: str, packed: bool, count: int, mix: str) -> dict[str, Any]:
    warm, ready = bodies(BATCH * 8, mix, form, packed), bodies(count, mix, form, packed)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "BRAIN_CONSUMERS": "metrics"}
    command = [sys.executable, "-c", "from brain.cli import main; main()", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    try:
        _wait(url)
        with get_context("fork").Pool(1) as pool:
            pool.apply(send, (url, form, packed, warm))
            before = _cpu(server)
            took, sender = pool.apply(send, (url, form, packed, ready))
            cpu = _cpu(server) - before
        tokens = sum(row["input_tokens"] for row in httpx.get(f"{url}/api/telemetry/usage", trust_env=False).json())
        sent = len(warm) + len(ready)
        calls = sent * BATCH if mix == "leaves" else sent * sum(n % 3 == 0 for n in range(BATCH))
        assert tokens == calls * 120, (tokens, calls)
        spans = len(ready) * BATCH
        share = sender / took / (os.cpu_count() or 1)
        return {"spans": spans, "seconds": took, "rate": spans / took, "cpu": 1e6 * cpu / spans, "sender": share}
    finally:
        server.kill()
        server.wait()


def _cpu(server: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU that the process has used."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def _wait(url: str) -> None:
    while True:
        try:
            if httpx.get(f"{url}/healthz", trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.05)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--mix", choices=("all", "leaves"), default="all")
    given = parser.parse_args()
    for row in run(given.spans, given.mix):
        form = f"{row['form']}{' + gzip' if row['gzip'] else ''}"
        spent = f"server {row['cpu']:.1f} ms of CPU for 1,000, sender {row['sender']:.0%} of the CPUs"
        rest = f"{row['spans']:,} in {row['seconds']:.2f} s, load {os.getloadavg()[0]:.1f}; sums true"
        print(f"{form:<16} {row['rate']:>9,.0f} spans/s   {spent}   ({rest})", flush=True)


if __name__ == "__main__":
    main()
