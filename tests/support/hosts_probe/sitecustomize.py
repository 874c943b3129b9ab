"""Loaded by every Python process of a host under test: notes what `publish` accepted, and how long an end took.

A line of the file PROBE is `accepted ID` or `ended SECONDS`. The product is imported when the host imports it.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time
from types import ModuleType
from typing import Any

PATCHED = "brain.stream.stream"


def note(line: str) -> None:
    fd = os.open(os.environ["PROBE"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def patch(module: ModuleType) -> None:
    stream = module.EventStream
    publish, close, end = stream.publish, stream.close_sync, stream.end

    def noted_publish(self: Any, event: Any) -> Any:
        receipt = publish(self, event)
        if receipt.refused is None:
            note(f"accepted {receipt.event_id}")
        return receipt

    def timed(act: Any) -> Any:
        def run(self: Any, *args: Any) -> None:
            began = time.monotonic()
            act(self, *args)
            note(f"ended {time.monotonic() - began:.3f}")

        return run

    stream.publish, stream.close_sync, stream.end = noted_publish, timed(close), timed(end)


class Finder:
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != PATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if "PROBE" in os.environ:
    sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]
