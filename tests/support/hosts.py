"""The programs of examples/hosts in the hosts that they are for, each with a probe (hosts_probe) in its processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from support.framework_environments import ROOT, environment
from support.ports import free_port
from support.waiting import wait_until

EXAMPLES = ROOT / "examples" / "hosts"
PROBE = Path(__file__).parent / "hosts_probe"


@dataclass(frozen=True)
class HostKind:
    """How a host is started (`{port}`, `{broker}`: where it listens, where its queue is), and given work.

    `enqueue` is the body of a program that gets `numbers`; without one, work is given over HTTP. `stop` ends it in good
    order. `needs` names its environment (support.framework_environments).
    """

    start: Sequence[str]
    enqueue: str = ""
    stop: signal.Signals = signal.SIGTERM
    needs: str = "hosts"


KINDS = {
    "uvicorn": HostKind(["uvicorn", "uvicorn_app:app", "--port", "{port}", "--log-level", "warning"]),
    "gunicorn": HostKind(["gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "flask_app:app"]),
    "gunicorn-preload": HostKind(
        ["gunicorn", "--workers", "2", "--preload", "--bind", "127.0.0.1:{port}", "flask_app:app"]
    ),
    "gunicorn-gevent": HostKind(
        ["gunicorn", "--worker-class", "gevent", "--workers", "2", "--bind", "127.0.0.1:{port}", "flask_app:app"]
    ),
    "flask": HostKind(["flask", "--app", "flask_app", "run", "--port", "{port}"], stop=signal.SIGINT),
    "django": HostKind(
        ["python", str(EXAMPLES / "django_app.py"), "runserver", "127.0.0.1:{port}", "--noreload"], stop=signal.SIGINT
    ),
    "uwsgi": HostKind(
        [
            *("uwsgi", "--http-socket", "127.0.0.1:{port}", "--module", "flask_app:app", "--need-app"),
            *("--processes", "2", "--master", "--die-on-term", "--lazy-apps"),
        ]
    ),
    "celery": HostKind(
        ["celery", "--app", "celery_app", "worker", "--concurrency", "2", "--loglevel", "WARNING"],
        enqueue="from celery_app import place\nfor n in numbers: place.delay(n)",
    ),
    "arq": HostKind(
        ["arq", "arq_app.WorkerSettings"],
        enqueue="""
import asyncio, os
from arq import create_pool
from arq.connections import RedisSettings
async def main():
    pool = await create_pool(RedisSettings.from_dsn(os.environ["BROKER"]))
    for n in numbers: await pool.enqueue_job("place", n)
asyncio.run(main())
""",
        needs="arq",
    ),
    "rq": HostKind(
        ["rq", "worker", "--url", "{broker}"],
        enqueue="""
import os
from redis import Redis
from rq import Queue
queue = Queue(connection=Redis.from_url(os.environ["BROKER"]))
for first in range(0, len(numbers), 50): queue.enqueue("rq_app.place", list(numbers[first:first + 50]))
""",
    ),
    "dramatiq": HostKind(
        ["dramatiq", "dramatiq_app", "--processes", "2", "--threads", "2"],
        enqueue="from dramatiq_app import place\nfor n in numbers: place.send(n)",
    ),
}


class Host:
    """One host at work on a stream in an SQLite file, with its journals beside it."""

    def __init__(self, kind: HostKind, folder: Path, broker: str) -> None:
        self.kind, self.folder = kind, folder
        self._bin = environment(kind.needs) / "bin"
        self._broker = broker
        self._probe = folder / "probe"
        self._probe.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTEST_", "COV_"))}
        path = os.pathsep.join(map(str, (ROOT / "src", PROBE, EXAMPLES)))
        stream = f"sqlite:///{self.folder / 'brain.db'}"
        return {
            **kept,
            "PYTHONPATH": path,
            "PROBE": str(self._probe),
            "BRAIN_STREAM": stream,
            "BROKER": self._broker,
            "PATH": f"{self._bin}{os.pathsep}{kept['PATH']}",
        }

    def start(self) -> None:
        """Start it in a group of processes of its own."""
        self._port = free_port()
        program, *arguments = (part.format(port=self._port, broker=self._broker) for part in self.kind.start)
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._bin / program), *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
                # A shell starts what runs in the background with SIGINT ignored, and that is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    def work(self, numbers: range) -> None:
        """Have it publish an event for each number; returns before all are done where the host has a queue."""
        if self.kind.enqueue:
            program = f"numbers = range({numbers.start}, {numbers.stop})\n{self.kind.enqueue}"
            subprocess.run(
                [str(self._bin / "python"), "-c", program], cwd=self.folder, env=self.environment, check=True
            )
            return
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", headers={"Connection": "close"}) as client:
            for number in numbers:
                self._post(client, number)

    def _post(self, client: httpx.Client, number: int) -> None:
        """Until it is answered, as long as the host starts; a request that a kill cut off may be answered later."""

        def is_answered() -> bool:
            try:
                return client.post(f"/orders/{number}").status_code == 200
            except httpx.HTTPError:
                assert self._process is not None
                assert self._process.poll() is None, self.output
                return False

        wait_until(is_answered)

    def workers(self) -> list[int]:
        """The processes below the one that was started."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return list(map(int, children))

    def kill(self) -> None:
        """SIGKILL for all its processes."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> float:
        """Stop it in good order; how many seconds that took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(self.kind.stop)
        self._process.wait(60)
        return time.monotonic() - began

    def accepted(self) -> list[str]:
        """The ids of the events that `publish` has accepted in any of its processes."""
        return self._noted("accepted")

    def ends(self) -> list[float]:
        """How many seconds closing, or ending without a close, took in each process."""
        return list(map(float, self._noted("ended")))

    def _noted(self, what: str) -> list[str]:
        lines = (line.partition(" ") for line in self._probe.read_text().splitlines())
        return [value for kind, _, value in lines if kind == what]

    def stored(self) -> list[str]:
        """The ids of the events in the stream."""
        with closing(sqlite3.connect(self.folder / "brain.db")) as db:
            rows = db.execute("SELECT json_extract(CAST(data AS TEXT), '$.id') FROM events").fetchall()
        return [id for (id,) in rows]

    def journals(self) -> list[str]:
        """The folders of journals that are left."""
        return os.listdir(self.folder / "brain.db.journal")

    @property
    def output(self) -> str:
        """What it has written."""
        return (self.folder / "output").read_text("utf-8", "replace")[-4000:]


def wait_for(host: Host, condition: Callable[[], bool]) -> None:
    """Wait until it holds; what the host wrote is in the error."""
    try:
        wait_until(condition, 90)
    except TimeoutError:
        raise AssertionError(f"{len(host.accepted())} accepted\n{host.output}") from None
