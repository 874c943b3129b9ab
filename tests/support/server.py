"""A whole server on a real socket: in this process (`running_server`), or as `brain serve` in one of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from brain.server.running import Running, running
from brain.settings import Settings
from support.command import start
from support.ports import free_port
from support.processes import kill

BRAIN = (sys.executable, "-c", "from brain.cli import main; main()")
"""The command `brain`, run by this interpreter."""

UNLIMITED = """
[access]
decisions_rate = 1e6
reads_rate = 1e6
changes_rate = 1e6
refusals_rate = 1e6
"""
"""In a brain.toml: limits that no test comes to."""


def without_consumers(stream: str = "memory://", **more: Any) -> Settings:
    """The settings of a server for a test that consumers have no part in: each of them costs it much of its time."""
    return Settings(stream=stream, port=0, consumers=(), **more)


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    """A server in this event loop, and a client of it."""
    async with (
        running(settings) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        yield server, client


class ServeThread:
    """A whole server in a thread of this process, with an event loop of its own: for tests that have none to spare.

    Starts in a fraction of the time that a process takes, which would import everything anew.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = ""
        self._settings = settings
        self._ready = threading.Event()
        self._stop: Callable[[], object] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="serve")

    def start(self) -> ServeThread:
        """Serve, once this returns. Raises what prevents it."""
        self._thread.start()
        assert self._ready.wait(60), "the server does not start"
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """End it in order. Raises what went wrong since."""
        if self._stop is not None:
            self._stop()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  (raised by `start` or `stop`)
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with running(self._settings) as server:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._stop = lambda: loop.call_soon_threadsafe(stop.set)
            self.url = server.url
            self._ready.set()
            await stop.wait()


def brain(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `brain ARGUMENTS` in a folder to its end, in a process of its own."""
    with tempfile.TemporaryDirectory() as outside:
        out, err = Path(outside) / "out", Path(outside) / "err"
        process = start(folder, arguments, out, err, environment or {})
        process.join(180)
        if process.exitcode is None:
            kill(process)
            raise subprocess.TimeoutExpired(arguments, 180, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


class ServeProcess:
    """`brain serve` in a process of its own, which can be killed."""

    def __init__(
        self, folder: Path, *options: str, port: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"serve-{self.port}-{next(_runs)}.log"
        self._process = start(
            folder, ("serve", "--port", str(self.port), *options), Path(os.devnull), self._log, environment or {}
        )

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def __enter__(self) -> ServeProcess:
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.is_alive(), f"brain serve ended: {self.log()}"
            assert time.monotonic() < deadline, f"brain serve does not answer: {self.log()}"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _answers(self) -> bool:
        with socket.socket() as probe:  # costs a hundredth of a request
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        try:
            return httpx.get(f"{self.url}/healthz", timeout=20, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        kill(self._process)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        self._process.join(90)
        assert self._process.exitcode is not None, "brain serve goes on after SIGTERM"
        return self._process.exitcode

    def log(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text()


_runs = count()
