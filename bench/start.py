"""What a start costs: `brain serve` until `/readyz` says ready, its memory, an idle server, reading commands.

`python -m bench.start` measures the `brain` of the interpreter that runs it; `python -m bench --against REV start` does
so by turns with another commit. Wall time counts only on an idle machine: beside it stands processor time.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from statistics import median

ROUNDS = 5
SETTLED, IDLE = 5.0, 10.0
"""Seconds after which the memory is read, and for which the idle server is watched."""
COMMANDS = ("threats list", "alerts list", "incidents list", "policy list", "metrics summary", "audit verify")
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the figures, and what the machine did besides."""
    with tempfile.TemporaryDirectory() as folder:
        found = [_server(Path(folder) / str(number), check_idle=number == 0) for number in range(ROUNDS)]
        idle = found[0]
        print(f"brain serve, ready        {_times([one['ready'] for one in found])}  wall, s")
        print(f"brain serve, ready        {_times([one['cpu'] for one in found])}  processor time, s")
        print(f"brain serve, memory       {_times([one['memory'] for one in found])}  RSS, MB (2**20 bytes)")
        print(f"brain serve, idle         {idle['idle']:6.2f}  % of a core")
        print(f"import brain              {_times(_imports())}  wall beyond `python -c pass`, ms")
        for command in COMMANDS:
            walls, cpus = _command(command, Path(folder) / "0")
            print(f"brain {command:<19} {_times(walls)}  wall, s; {_times(cpus)}  processor time, s")
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}, with {os.cpu_count()} cores")


def _times(values: list[float]) -> str:
    return f"{median(values):6.3f} ({min(values):.3f} to {max(values):.3f})"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTHON"))}


def _server(folder: Path, *, check_idle: bool) -> dict[str, float]:
    folder.mkdir()
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "brain", "serve", "--port", str(port)]
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=log)
    try:
        _wait_ready(server, f"http://127.0.0.1:{port}/readyz")
        ready, cpu = time.perf_counter() - began, _cpu(server.pid)
        time.sleep(SETTLED)
        before, memory = _cpu(server.pid), _memory(server.pid)
        if check_idle:
            time.sleep(IDLE)
        return {"ready": ready, "cpu": cpu, "memory": memory, "idle": (_cpu(server.pid) - before) / IDLE * 100}
    finally:
        server.terminate()
        server.wait()


def _wait_ready(server: subprocess.Popen[bytes], url: str) -> None:
    while server.poll() is None:
        try:
            with urllib.request.urlopen(url) as answer:
                if json.load(answer)["status"] == "ready":
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.005)
    raise SystemExit("brain serve ended; run it by hand to see why")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _imports() -> list[float]:
    def wall(program: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, env=_environment())
        return time.perf_counter() - began

    return [(wall("import brain") - wall("pass")) * 1000 for _ in range(ROUNDS * 2)]


def _command(command: str, folder: Path) -> tuple[list[float], list[float]]:
    walls, cpus = [], []
    for _ in range(ROUNDS):
        before, began = _children(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "brain", *command.split()], cwd=folder, env=_environment(), capture_output=True
        )
        walls.append(time.perf_counter() - began)
        cpus.append(_children() - before)
    return walls, cpus


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
