"""A tap read to its end: its lines into a run, its exit code into how the run ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import IO, Any

from brain.errors import InvalidInput
from brain.links.service import ConnectorService
from brain.links.singer_run import RunCounts, SingerRun
from brain.links.taps import Tap, started

PUBLISH_EVERY = 2.0
"""Seconds between two shipments of what a run has stored; a server on the same database ships it at once."""


def read_tap(
    service: ConnectorService, name: str, standard_input: IO[bytes], publish: Callable[[], None]
) -> tuple[RunCounts, int | None]:
    """What the run did, and the tap's exit code; None where it is read from `standard_input`.

    Raises InvalidInput for a line that is no message; what came before it is kept.
    """
    publishing = _Publishing(publish)
    run = SingerRun(service, name, publishing.now_and_then)
    settings = service.inbound[name].settings
    source: Any = nullcontext(Tap(standard_input))
    if settings.command:
        source = started(settings.command, settings.state_option, service.get(name).cursor)
    exit_code: int | None = None
    try:
        with source as tap:
            for line in tap.lines():
                run.store() if line is None else run.take(line)
            run.store()
            exit_code = tap.exit_code()
    except InvalidInput as error:
        run.end(str(error), {"line": run.lines})
        raise
    finally:
        publish()
    failed = f"the tap ended with exit code {exit_code}; its records so far are kept" if exit_code else None
    run.end(failed, {"exit_code": exit_code})
    publish()
    return run.counts, exit_code


class _Publishing:
    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._last = time.monotonic()

    def now_and_then(self) -> None:
        if time.monotonic() - self._last >= PUBLISH_EVERY:
            self._publish()
            self._last = time.monotonic()
