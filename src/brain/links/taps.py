"""Where the lines of a tap come from: a command that is run here, or standard input."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from brain.errors import InvalidInput
from brain.links.singer import LINE_BYTES

IDLE = 1.0
"""Seconds without a line after which what came is stored."""
_AHEAD = 2_000  # lines read before they are taken


@dataclass
class Tap:
    """A tap that is being read."""

    output: IO[bytes]
    process: subprocess.Popen[bytes] | None = None

    def lines(self) -> Iterator[bytes | None]:
        """Its lines until its end; None after each pause of `IDLE` seconds."""
        found: queue.Queue[bytes | None] = queue.Queue(_AHEAD)

        def read() -> None:
            while line := self.output.readline(LINE_BYTES + 1):
                found.put(line)
            found.put(None)

        threading.Thread(target=read, name="tap", daemon=True).start()
        while True:
            try:
                line = found.get(timeout=IDLE)
            except queue.Empty:
                yield None
                continue
            if line is None:
                return
            yield line

    def exit_code(self) -> int | None:
        """Its exit code, once its output has ended; None where somebody else started it."""
        return None if self.process is None else self.process.wait()


@contextmanager
def started(command: Sequence[str], state_option: str, state: str | None) -> Iterator[Tap]:
    """The tap, started with a file of its last STATE where there is one. Raises InvalidInput when it is not there."""
    with tempfile.TemporaryDirectory(prefix="brain-tap-") as folder:
        arguments = list(command)
        if state is not None and state_option:
            file = Path(folder) / "state.json"
            file.write_text(state, encoding="utf-8")
            arguments += [state_option, str(file)]
        try:
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise InvalidInput(f"command: {command[0]!r} cannot be started: {error.strerror}") from error
        assert process.stdout is not None
        try:
            yield Tap(process.stdout, process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            process.stdout.close()
