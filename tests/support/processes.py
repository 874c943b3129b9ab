"""Child processes that are made quickly (forked from a server that has imported everything) and killed at will."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

# The fork server does not take over sys.path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["support.everything"])


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
