"""The whole pipeline: publish to applied by audit, metrics, alerting and incidents, in CPU seconds and bytes of tables.

`python -m bench.pipeline [EVENTS [--profile FILE]]` publishes decisions, one of eleven refused, to a stream on SQLite,
then starts `brain serve` with the four consumers and waits until all of them have read to the end. What the server's
process (and its children) took, user and system, is divided by the events; beside it the bytes of each table an event.
It does so with EVENTS and with an eighth of them: the difference of the two is what the events took, without the start.

`--redis` measures a stream on Redis with the consumers in PostgreSQL. `--worker` has a second process, `brain worker`,
keep the audit log and count the metrics, in a database of its own (`--worker audit`: other consumers): compare the
events a second, by the clock, with those of one process.
It uses only names that every version of this package has, so that `python -m bench --against REV pipeline` runs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from bench.followers import free_port

EVENTS = 40_000
LONGEST = 900.0
_ALERTING = "alerting" if find_spec("brain.alerting") else "soc"  # its name in the first version
_CONSUMERS = ("audit", "metrics", _ALERTING, "incidents")
_TICK = os.sysconf("SC_CLK_TCK")


class Place(NamedTuple):
    """The URLs of the stream and of the consumers' database; "" for one beside the stream."""

    stream: str
    database: str = ""


class Taken(NamedTuple):
    """What the consumers took for so many events; seconds on the clock count from the start of the first process."""

    events: int
    publish: float
    cpu: float
    wall: float
    tables: list[tuple[str, float]]  # bytes an event of each table, where the database is SQLite


async def publish(url: str, count: int) -> tuple[float, float]:
    """Publish so many decisions; CPU and wall seconds."""
    from brain import Condition, EventStream, PolicyEngine, Rule

    began, wall = time.process_time(), time.perf_counter()
    opened = EventStream.open(url)
    async with await opened if asyncio.iscoroutine(opened) else opened as stream:
        engine = PolicyEngine(event_stream=stream)
        engine.add_rule(Rule(id="read", name="Read", effect="ALLOW", conditions=[Condition("action", "==", "read")]))
        for number in range(count):
            engine.evaluate(
                {
                    "agent_id": f"agent-{number % 500}",
                    "agent_role": "guest",
                    "action": "delete" if number % 11 == 0 else "read",
                    "resource": f"db-{number % 40}",
                    "environment": {},
                    "params": {"rows": number % 100},
                }
            )
            if number % 500 == 0:
                await asyncio.sleep(0)
        while stream.stats()["backlog"]:  # noqa: ASYNC110  (the stream has no event for it)
            await asyncio.sleep(0.02)
    return time.process_time() - began, time.perf_counter() - wall


def consume(place: Place, folder: Path, worker: Sequence[str] = (), profile: str | None = None) -> tuple[float, float]:
    """Start the server with the consumers until all have read to the end; CPU seconds and those on the clock.

    `worker`: the consumers in a second process, with a database of its own.
    """
    brain = str(Path(sys.executable).with_name("brain"))
    others = [name for name in _CONSUMERS if name not in worker]
    environment = {**os.environ, "BRAIN_CONSUMERS": ",".join(others), "BRAIN_LOG_LEVEL": "error"}
    if place.database:
        environment["BRAIN_DATABASE"] = place.database
    commands = [([brain, "serve", "--stream", place.stream, "--port", str(free_port())], environment)]
    if worker:
        own = {**environment, "BRAIN_DATABASE": f"sqlite:///{folder / 'worker.db'}"}
        commands.append(([brain, "worker", *worker, "--stream", place.stream], own))
    began = time.perf_counter()
    with open(folder / "log", "wb") as log:
        started = [
            subprocess.Popen(command, cwd=folder, env=settings, stdout=log, stderr=log)
            for command, settings in commands
        ]
        try:
            spying = None
            if profile is not None:
                recorder = [os.environ.get("PY_SPY", "py-spy"), "record", "-t", "-f", "raw", "-r", "50", "-o", profile]
                spying = subprocess.Popen([*recorder, "-p", str(started[0].pid)], stdout=log, stderr=log)
            wait_until_read(place.stream, started, folder / "log")
            taken = time.perf_counter() - began
            cpu = sum(_cpu(each.pid) for each in started)
            if spying is not None:
                spying.send_signal(2)
                spying.wait()
        finally:
            for each in started:
                each.kill()
                each.wait()
    return cpu, taken


def wait_until_read(stream: str, started: list[subprocess.Popen[bytes]], log: Path) -> None:
    """Until all groups have read to the end of the stream, and nothing has come since."""
    deadline = time.monotonic() + LONGEST
    seen = 0
    with _watching(stream) as at_end:
        while True:
            assert all(each.poll() is None for each in started), f"a process ended: {log.read_text()}"
            assert time.monotonic() < deadline, "the consumers did not come to the end"
            seen = seen + 1 if at_end() else 0  # what consumers publish themselves comes after
            if seen == 3:
                return
            time.sleep(0.1)


@contextmanager
def _watching(stream: str) -> Iterator[Callable[[], bool]]:
    """What tells whether the four consumers are at the end of the stream."""
    if stream.startswith("sqlite"):
        file = stream.removeprefix("sqlite:///")

        def at_end() -> bool:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
                tail = db.execute("SELECT max(position) FROM events").fetchone()[0]
                groups = [place for (place,) in db.execute("SELECT read_to FROM groups")]
            return len(groups) >= len(_CONSUMERS) and all(place >= tail for place in groups)

        yield at_end
        return
    from brain.stream.backends.redis import RedisBackend

    backend = RedisBackend(stream)

    def none_lags() -> bool:
        groups = backend.groups()
        return len(groups) >= len(_CONSUMERS) and all(group.lag == 0 for group in groups)

    yield none_lags
    backend.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICK


def sizes(folder: Path, events: int) -> list[tuple[str, float]]:
    """Bytes an event of each table and index of the consumers' databases, the largest first."""
    found: dict[str, int] = {}
    for file in sorted(folder.glob("*.db")):
        with sqlite3.connect(file) as db:
            query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
            for name, size in db.execute(query):
                found[f"{file.stem} {name}"] = size
    return sorted(((name, size / events) for name, size in found.items()), key=lambda row: -row[1])


@contextmanager
def _parts(folder: Path, redis: bool) -> Iterator[Place]:
    """An empty stream and database: SQLite in the folder, or Redis and PostgreSQL."""
    if not redis:
        yield Place(f"sqlite:///{folder}/brain.db")
        return
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from support.postgres_server import PostgresServer
    from support.redis_server import RedisServer

    stream, database = RedisServer(folder, "--appendonly", "no").start(), PostgresServer().start()
    try:
        yield Place(stream.url, f"postgresql://{database.url.partition('://')[2]}")
    finally:
        stream.kill()
        database.stop()


def measure(count: int, redis: bool = False, worker: Sequence[str] = (), profile: str | None = None) -> Taken:
    """Publish and consume so many decisions on empty parts."""
    with tempfile.TemporaryDirectory() as name, _parts(Path(name), redis) as place:
        folder = Path(name)
        published, _ = asyncio.run(publish(place.stream, count))
        cpu, wall = consume(place, folder, worker, profile)
        stored = count + count // 11 + 1
        if not redis:
            with sqlite3.connect(folder / "brain.db") as db:
                stored = db.execute("SELECT max(position) FROM events").fetchone()[0]
        return Taken(stored, published, cpu, wall, sizes(folder, stored))


def main() -> None:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=EVENTS)
    parser.add_argument("--profile", metavar="FILE")
    parser.add_argument("--redis", action="store_true", help="a stream on Redis, the consumers in PostgreSQL")
    parser.add_argument("--worker", nargs="?", const="audit,metrics", default="", help="these in a second process")
    given = parser.parse_args()
    worker = given.worker.split(",") if given.worker else ()
    few = measure(given.events // 8, given.redis, worker)
    many = measure(given.events, given.redis, worker, given.profile)
    more = many.events - few.events
    tables = sum(size for name, size in many.tables if not name.startswith("brain "))
    print(
        json.dumps(
            {
                "events": many.events,
                "load": round(os.getloadavg()[0], 1),
                "publish_cpu_s_per_1000": round(many.publish / many.events * 1000, 4),
                "cpu_s_per_1000": round((many.cpu - few.cpu) / more * 1000, 4),
                "with_start_cpu_s_per_1000": round(many.cpu / many.events * 1000, 4),
                "events_a_second": round(more / max(many.wall - few.wall, 0.001)),
                "table_bytes_per_event": round(tables),
            }
        )
    )
    for name, size in many.tables:
        if size >= 5:
            print(f"{size:8.1f}  {name}")


if __name__ == "__main__":
    main()
