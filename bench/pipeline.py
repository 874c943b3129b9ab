"""The whole pipeline: publish to applied by audit, metrics, alerting and incidents, in CPU seconds and bytes of tables.

`python -m bench.pipeline [EVENTS [--profile FILE]]` publishes decisions, one of eleven refused, to a stream on SQLite,
then starts `brain serve` with the four consumers and waits until all of them have read to the end. What the server's
process (and its children) took, user and system, is divided by the events; beside it the bytes of each table an event.
It uses only names that every version of this package has, so that `python -m bench --against REV pipeline` runs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from bench.followers import free_port

EVENTS = 10_000
LONGEST = 900.0
_ALERTING = "alerting" if find_spec("brain.alerting") else "soc"  # its name in the first version
_CONSUMERS = f"audit,metrics,{_ALERTING},incidents"
_TICK = os.sysconf("SC_CLK_TCK")


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


def consume(url: str, folder: Path, count: int, profile: str | None = None) -> tuple[float, float]:
    """Start the server with the consumers until all have read to the end; its CPU seconds and those on the clock."""
    port = free_port()
    environment = {**os.environ, "BRAIN_CONSUMERS": _CONSUMERS, "BRAIN_LOG_LEVEL": "error"}
    command = [str(Path(sys.executable).with_name("brain")), "serve", "--stream", url, "--port", str(port)]
    with open(folder / "log", "wb") as log:
        began = time.perf_counter()
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            if profile is not None:
                recorder = [os.environ.get("PY_SPY", "py-spy"), "record", "-t", "-f", "raw", "-r", "50", "-o", profile]
                spying = subprocess.Popen([*recorder, "-p", str(server.pid)], stdout=log, stderr=log)
            wait_until_read(url.removeprefix("sqlite:///"), server, folder / "log")
            taken = time.perf_counter() - began
            cpu = _cpu(server.pid)
            if profile is not None:
                spying.send_signal(2)
                spying.wait()
        finally:
            server.kill()
            server.wait()
    return cpu, taken


def wait_until_read(file: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until all groups have read to the end of the stream's file, and nothing has come since."""
    deadline = time.monotonic() + LONGEST
    seen = 0
    while True:
        assert server.poll() is None, f"the server ended: {log.read_text()}"
        assert time.monotonic() < deadline, "the consumers did not come to the end"
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            tail = db.execute("SELECT max(position) FROM events").fetchone()[0]
            groups = [place for (place,) in db.execute("SELECT read_to FROM groups")]
        done = len(groups) >= 4 and all(place >= tail for place in groups)
        seen = seen + 1 if done else 0  # what consumers publish themselves comes after
        if seen == 3:
            return
        time.sleep(0.2)


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


def main() -> None:
    """Print one measurement."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    profile = sys.argv[sys.argv.index("--profile") + 1] if "--profile" in sys.argv else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/brain.db"
        published, _ = asyncio.run(publish(url, events))
        cpu, taken = consume(url, folder, events, profile)
        with sqlite3.connect(folder / "brain.db") as db:
            stored = db.execute("SELECT max(position) FROM events").fetchone()[0]
        rows = sizes(folder, stored)
        load = os.getloadavg()[0]
        tables = sum(size for name, size in rows if not name.startswith("brain "))
        print(
            json.dumps(
                {
                    "events": stored,
                    "load": round(load, 1),
                    "publish_cpu_s_per_1000": round(published / stored * 1000, 4),
                    "consume_cpu_s_per_1000": round(cpu / stored * 1000, 4),
                    "consume_wall_s": round(taken, 1),
                    "table_bytes_per_event": round(tables),
                }
            )
        )
        for name, size in rows:
            if size >= 5:
                print(f"{size:8.1f}  {name}")


if __name__ == "__main__":
    main()
