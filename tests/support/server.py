"""A whole server on a real socket: in this process (`running_server`), or as `brain serve` in one of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from brain.settings import Settings
from brain.web.running import Running, running
from support.ports import free_port

BRAIN = (sys.executable, "-c", "from brain.cli import main; main()")
"""The command `brain`, run by this interpreter."""


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
    """Run `brain ARGUMENTS` in a folder to its end."""
    return subprocess.run(
        [*BRAIN, *arguments], cwd=folder, env=_environment(environment), capture_output=True, text=True, timeout=180
    )


class ServeProcess:
    """`brain serve` in a process of its own, which can be killed."""

    def __init__(self, folder: Path, *options: str, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (folder / f"serve-{self.port}.log").open("w+")
        self._process = subprocess.Popen(
            [*BRAIN, "serve", "--port", str(self.port), *options],
            cwd=folder,
            env=_environment(environment),
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> ServeProcess:
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, f"brain serve ended: {self.log()}"
            assert time.monotonic() < deadline, f"brain serve does not answer: {self.log()}"
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=20, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait(60)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(90)

    def log(self) -> str:
        """What it wrote to standard error."""
        return Path(self._log.name).read_text()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    return {**own, **(more or {})}
