"""Closing while other threads still use the backend: an error that says so, never a crash of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, threading
from brain.errors import Unavailable
from brain.stream.backends import open_backend

for round in range(200):
    backend = open_backend(f"sqlite:///{sys.argv[1]}/{round % 4}.db")
    started = threading.Event()

    def watch():
        try:
            while True:
                started.set()
                backend.wait("", 0.001)
        except Unavailable:
            pass

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    started.wait()
    backend.close()
    for watcher in watchers:
        watcher.join()
"""


def test_a_backend_closed_while_it_is_watched(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
