"""Memory of `brain serve` with all consumers, while very many events pass.

`python -m bench.memory [EVENTS [BATCH]]` publishes batches of decisions, one of eleven refused, from another process to
a stream on SQLite, waits after each until all groups have read it, and prints the server's RSS. What a stream and an
audit log keep on disk is not in it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.followers import free_port
from bench.pipeline import publish, wait_until_read

EVENTS = 2_000_000
BATCH = 50_000
_MEBIBYTE = 1_048_576


def main() -> None:
    """Print the memory after each batch, then how far it rose from the end of the first tenth."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    batch = int(sys.argv[2]) if len(sys.argv) > 2 else BATCH
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), events, batch)
    first = found[max(0, len(found) // 10 - 1)]
    print(f"from {first:.1f} to at most {max(found):.1f} MB, {max(found) / first:.2f} times")


def measure(folder: Path, events: int, batch: int) -> list[float]:
    """The RSS in MB (2**20 bytes) after each batch."""
    url = f"sqlite:///{folder}/brain.db"
    command = [str(Path(sys.executable).with_name("brain")), "serve", "--stream", url, "--port", str(free_port())]
    environment = {**os.environ, "BRAIN_LOG_LEVEL": "error"}
    found = []
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            for done in range(batch, events + 1, batch):
                asyncio.run(publish(url, batch))
                wait_until_read(url, [server], folder / "log")
                found.append(_resident(server.pid))
                print(f"{done:>10,} decisions  {found[-1]:7.1f} MB", flush=True)
        finally:
            server.kill()
            server.wait()
    return found


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE


if __name__ == "__main__":
    main()
