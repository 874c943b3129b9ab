"""A stream is closed while its watcher looks at the database: a connection closed under it would end the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys, threading
from brain.errors import Unavailable
from brain.stream.backends import sqlite
from brain.stream.backends.sqlite import SQLiteBackend

sqlite._POLL = 0  # look again at once, so that a close meets a look nearly every time

def watch(backend, looking):
    try:
        while True:
            backend.wait("", 0)
            looking.set()
    except Unavailable:
        pass

for number in range(300):
    backend = SQLiteBackend("sqlite:///" + sys.argv[1])
    looking = threading.Event()
    watcher = threading.Thread(target=watch, args=(backend, looking))
    watcher.start()
    looking.wait()
    backend.close()
    watcher.join()
"""


def test_closing_while_others_wait_is_safe(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", _PROGRAM, str(tmp_path / "brain.db")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
