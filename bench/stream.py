"""The stream's lines of the speed budget, each beside the raw limit of what lies below it, in the same run.

`python -m bench.stream` prints the table; `run()` gives its rows. Redis is a server of the benchmark's own.
`python -m bench.stream publish sqlite redis group` prints the lines of these alone, without peers; they use only what
commit 6c6e67b has, so that `python -m bench --against 6c6e67b "stream publish sqlite redis group"` runs.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import redis

from bench import stream_peers
from bench.places import PORT, redis_server
from brain import Event, EventStream

COUNT = 200_000
ROUNDS = 3
_IDLE = 200


def run() -> list[dict[str, Any]]:
    """One row for each line of the budget, and the peers."""
    with redis_server() as url:
        rows = [measure(url) for measure in LINES.values()]
        rows[-1:-1] = [*_faststream_rows(url, rows), _eventsourcing_row(rows)]
    return rows


def _publish(_: str) -> dict[str, Any]:
    return _row("publish(), journalled", "us, median", "3 us", _publish_cost(), best=min)


def _to_sqlite(_: str) -> dict[str, Any]:
    return _ratio("to SQLite, sustained", "executemany by 1,000", 0.5, _sqlite_raw, sustained("sqlite"))


def _to_redis(url: str) -> dict[str, Any]:
    return _ratio("to Redis, sustained", "pipeline of 500 XADD", 0.8, _redis_raw, sustained(url))


def _group(url: str) -> dict[str, Any]:
    return _ratio("group on Redis, no-op", "XREADGROUP+XACK by 1,000", 0.7, _read_raw, consume(url))


def _idle(_: str) -> dict[str, Any]:
    return _row("publish to handler, idle", "ms, p99", "1 ms", _idle_latency(), best=min)


LINES: dict[str, Callable[[str], dict[str, Any]]] = {
    "publish": _publish,
    "sqlite": _to_sqlite,
    "redis": _to_redis,
    "group": _group,
    "idle": _idle,
}


def main() -> None:
    """Print the table, or the lines that are named."""
    names = sys.argv[1:]
    if unknown := [name for name in names if name not in LINES]:
        raise SystemExit(f"no line {', '.join(unknown)}; there are {', '.join(LINES)}")
    if not names:
        for row in run():
            print(line(row))
        return
    with redis_server() as url:
        for name in names:
            print(line(LINES[name](url)), flush=True)


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    if "times" in row:
        return f"{row['what']:<33} {row['ours'][0]:>9,.0f} /s; ours is {row['times']:.1f} times as fast"
    peer = ""
    if "ratio" in row:
        spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        peer = f"; {row['peer']}: {row['raw']:,.0f}/s; ratio {row['ratio']:.2f} ({spread})"
    ours = " ".join(f"{value:,.2f}" if value < 1000 else f"{value:,.0f}" for value in row["ours"])
    return f"{row['what']:<26} [{ours}] {row['unit']}{peer}; budget {row['budget']}"


def _row(what: str, unit: str, budget: str, ours: list[float], best: Callable[[list[float]], float]) -> dict[str, Any]:
    return {"bench": "stream", "what": what, "unit": unit, "budget": budget, "ours": ours, "best": best(ours)}


def _ratio(
    what: str, peer: str, least: float, raw: Callable[[Path], float], ours: Callable[[Path], Awaitable[float]]
) -> dict[str, Any]:
    """Both in turn, ROUNDS times; the ratio is of the medians."""
    ours_found, raw_found = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            raw_found.append(raw(Path(folder)))
            ours_found.append(asyncio.run(_awaited(ours(Path(folder)))))
    middle = statistics.median(raw_found)
    row = _row(what, "/s", f"at least {least}", ours_found, max)
    ratios = [mine / limit for mine, limit in zip(ours_found, raw_found, strict=True)]
    return {**row, "peer": peer, "raw": middle, "ratio": statistics.median(ratios), "ratios": ratios}


async def _awaited(found: Awaitable[float]) -> float:
    return await found


def _faststream_rows(url: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    redis.Redis(port=PORT).flushall()
    found = asyncio.run(stream_peers.faststream(url, sample_events(1)[0].payload, 20_000, 20_000))
    ours = {row["what"]: statistics.median(row["ours"]) for row in rows}
    return [
        _peer_row("FastStream, publish", found["publish"], ours["to Redis, sustained"]),
        _peer_row("FastStream, publish and consume", found["through"], ours["group on Redis, no-op"]),
    ]


def _eventsourcing_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    ours = {row["what"]: statistics.median(row["ours"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        rate = stream_peers.eventsourcing(Path(folder), sample_events(1)[0].encode(), 100_000)
    return _peer_row("eventsourcing, to SQLite", rate, ours["to SQLite, sustained"])


def _peer_row(what: str, rate: float, ours: float) -> dict[str, Any]:
    return {"bench": "stream", "what": what, "unit": "/s", "budget": "", "ours": [rate], "times": ours / rate}


def sample_events(count: int) -> list[Event]:
    """So many decisions, as events."""
    payload = {"rule_id": "r1", "effect": "DENY", "reason": "no deletion by guests", "agent_id": "a1", "resource": "db"}
    return [
        Event(type="policy.rule_evaluated", source="policy_service", payload={**payload, "n": n}) for n in range(count)
    ]


def _publish_cost() -> list[float]:
    return [asyncio.run(_publish_median()) for _ in range(ROUNDS)]


async def _publish_median() -> float:
    events = sample_events(2_000)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        async with EventStream.open(f"sqlite:///{folder}/b.db") as stream:
            for turn in range(20_000):
                started = time.perf_counter_ns()
                stream.publish(events[turn % 2_000])
                taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken) / 1000


def _sqlite_raw(folder: Path) -> float:
    rows = [(event.encode(),) for event in sample_events(1_000)]
    db = sqlite3.connect(folder / "raw.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE events (position INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL)")
    started = time.perf_counter()
    for _ in range(COUNT // 1_000):
        db.execute("BEGIN")
        db.executemany("INSERT INTO events (data) VALUES (?)", rows)
        db.execute("COMMIT")
    rate = COUNT / (time.perf_counter() - started)
    db.close()
    return rate


def _redis_raw(_: Path) -> float:
    client = redis.Redis(port=PORT)
    client.flushall()
    data = [event.encode() for event in sample_events(500)]
    started = time.perf_counter()
    for _round in range(COUNT // 500):
        with client.pipeline(transaction=False) as pipe:
            for one in data:
                pipe.xadd("raw", {"e": one})
            pipe.execute()
    return COUNT / (time.perf_counter() - started)


def sustained(url: str, count: int = COUNT) -> Callable[[Path], Awaitable[float]]:
    """Publish as fast as it goes, and wait until the last one is stored."""

    async def measure(folder: Path) -> float:
        events = sample_events(1_000)
        async with _stream(url, folder) as stream:
            started = time.perf_counter()
            for _ in range(count // 1_000):
                for event in events:
                    receipt = stream.publish(event)
                await asyncio.sleep(0)
            await receipt
            rate = count / (time.perf_counter() - started)
            assert stream.stats()["refused"] == 0
        return rate

    return measure


def _read_raw(_: Path) -> float:
    client = redis.Redis(port=PORT)
    client.flushall()
    data = [event.encode() for event in sample_events(1_000)]
    for _round in range(COUNT // 1_000):
        with client.pipeline(transaction=False) as pipe:
            for one in data:
                pipe.xadd("raw", {"e": one})
            pipe.execute()
    client.xgroup_create("raw", "g", "0")
    seen = 0
    started = time.perf_counter()
    while seen < COUNT:
        found: Any = client.xreadgroup("g", "c", {"raw": ">"}, count=1_000)
        rows = found["raw" if "raw" in found else b"raw"][0] if isinstance(found, dict) else found[0][1]
        client.xack("raw", "g", *[row[0] for row in rows])
        seen += len(rows)
    return COUNT / (time.perf_counter() - started)


def consume(url: str, count: int = COUNT) -> Callable[[Path], Awaitable[float]]:
    """A group with a handler that does nothing reads so many events that are stored already."""

    async def measure(folder: Path) -> float:
        seen = 0
        finished = asyncio.Event()

        async def handler(_: Event) -> None:
            nonlocal seen
            seen += 1
            if seen == count:
                finished.set()

        async with _stream(url, folder) as stream:
            for event in sample_events(count):
                receipt = stream.publish(event)
            await receipt
            stream.consumer("bench", "*", handler)
            started = time.perf_counter()
            task = asyncio.create_task(stream.run_consumers())
            await finished.wait()
            rate = count / (time.perf_counter() - started)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return rate

    return measure


def _idle_latency() -> list[float]:
    return [asyncio.run(_latency_p99()) for _ in range(ROUNDS)]


async def _latency_p99() -> float:
    taken: list[float] = []
    arrived = asyncio.Event()

    async def handler(_: Event) -> None:
        taken.append(time.perf_counter() - started)
        arrived.set()

    with tempfile.TemporaryDirectory() as folder:
        async with EventStream.open(f"sqlite:///{folder}/b.db") as stream:
            stream.consumer("bench", "*", handler)
            task = asyncio.create_task(stream.run_consumers())
            for event in sample_events(_IDLE):
                await asyncio.sleep(0.01)  # the system is idle
                arrived.clear()
                started = time.perf_counter()
                stream.publish(event)
                await arrived.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return sorted(taken)[_IDLE * 99 // 100] * 1000


def _stream(url: str, folder: Path) -> Any:
    if url == "sqlite":
        return EventStream.open(f"sqlite:///{folder}/b.db")
    redis.Redis(port=PORT).flushall()
    return EventStream.open(url, journal=folder / "journal")


if __name__ == "__main__":
    main()
