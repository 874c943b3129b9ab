"""A real redis-server on a free loopback port, started, killed, stopped and restarted by its own process id."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis

from support import signals
from support.ports import free_port

BINARY = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
"""The program all tests use: REDIS_SERVER names another version, or Valkey where both are installed."""


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look until it is so; a server that is starting or down counts as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except redis.RedisError as error:
            last: object = error
        else:
            last = "it answers, but not as wished"
        assert time.monotonic() < deadline, f"not so within {seconds} s: {last}"
        time.sleep(0.01)


class RedisServer:
    """`password` is what its own control connection logs in with, for servers that ask for one."""

    def __init__(self, folder: Path, *options: str, password: str | None = None) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *, loaded: bool = True) -> RedisServer:
        """Start, and wait until it answers; with `loaded=False` an answer that it is loading will do."""
        assert BINARY, "redis-server is not installed; run `make setup-test` (Debian: apt-get install redis-server)"
        command = [BINARY, *self.arguments()]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self._answers(loaded))
        return self

    def arguments(self) -> list[str]:
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [*common, "--save", "", "--daemonize", "no", "--loglevel", "warning", *self.options]

    def _answers(self, loaded: bool) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "redis-server ended while starting"
        try:
            with self.client() as client:
                client.ping()
        except redis.exceptions.BusyLoadingError:
            return not loaded
        return True

    def client(self) -> redis.Redis:
        """A connection of the test's own, beside what it tests."""
        return redis.Redis(port=self.port, password=self.password, socket_timeout=10, protocol=2, retry=None)

    def is_primary(self) -> bool:
        with self.client() as client:
            return bool(client.info("replication")["role"] == "master")

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(60)
            self.process = None

    def restart(self, *, empty: bool = False) -> None:
        self.kill()
        if empty:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
        self.start()

    def freeze(self) -> None:
        assert self.process is not None
        signals.freeze(self.process.pid)

    def thaw(self) -> None:
        assert self.process is not None
        signals.thaw(self.process.pid)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()


StartRedis = Callable[..., RedisServer]
"""The fixture `start_redis`: a server with the given options, which ends with the test."""
