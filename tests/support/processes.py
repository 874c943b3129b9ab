"""Child processes that are made quickly (forked from a server that has imported everything) and killed at will.

The workers of pytest-xdist share the server of the process that started them: to import everything takes 5 s.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

# The fork server does not take over sys.path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["support.all_extras", "support.everything"])
_ADDRESS = "ADDRESS_OF_FORK_SERVER"
"""The environment variable by which workers find the shared server."""
_KEY = "KEY_OF_FORK_SERVER"
"""That by which it lets them in, from Python 3.14 on."""


def share_server() -> None:
    """Start the server now, and share it with the processes that are started from here on; it ends with this one."""
    if _ADDRESS not in os.environ:
        forkserver.ensure_running()
        server: Any = forkserver._forkserver
        os.environ[_ADDRESS] = server._forkserver_address
        os.environ[_KEY] = getattr(server, "_forkserver_authkey", b"").hex()


def _use_shared_server(address: str) -> None:
    server: Any = forkserver._forkserver
    server._forkserver_address = address
    server._forkserver_authkey = bytes.fromhex(os.environ.get(_KEY, ""))
    server._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)  # children are given one; they do not need it
    server.ensure_running = resource_tracker.ensure_running  # it is not a child of this process, to be waited for


if address := os.environ.get(_ADDRESS):
    _use_shared_server(address)


def spawn(target: Callable[..., None], *args: Any) -> BaseProcess:
    process = _context.Process(target=target, args=args, daemon=True)
    # A child would first run the parent's main script, which is pytest: half a second each.
    main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = main
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL, and wait for the end."""
    if process.pid is not None and process.is_alive():
        with suppress(ProcessLookupError):  # it has ended by itself meanwhile
            os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert not process.is_alive()
