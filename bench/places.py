"""Where a benchmark keeps its stream or store: a file, or a Redis of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

PORT = 16_399


@contextmanager
def place(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty stream or store of this kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/brain.db"
        return
    with redis_server() as url:
        yield url


@contextmanager
def redis_server() -> Iterator[str]:
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    assert binary, "the benchmark needs redis-server; run `scripts/setup test`"
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(PORT), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(port=PORT)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "redis-server did not start"
            yield f"redis://127.0.0.1:{PORT}/0"
        finally:
            server.kill()
            server.wait()
