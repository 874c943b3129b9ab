"""The package where the system lacks something: taken away before it is imported, in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from brain import platform
from support.missing import CAPABILITIES

TESTS = Path(__file__).parents[1]

STREAM = """
import asyncio, os
import support.missing
from brain import Event, EventStream, PolicyEngine

async def main():
    for start in (0, 50):
        async with EventStream.open("sqlite:///brain.db", durability=os.environ["DURABILITY"]) as stream:
            receipts = [
                stream.publish(Event(type="a.b", source="test_service", payload={"n": n, "filling": "x" * 200_000}))
                for n in range(start, start + 50)
            ]
            for receipt in receipts:
                assert receipt.refused is None, receipt.refused
                await receipt
    async with EventStream.open("sqlite:///brain.db") as stream:
        found = [event.payload["n"] async for event in stream.replay()]
        assert found == list(range(100)), found[:10]
    print("whole", PolicyEngine().evaluate({"action": "x"}).effect)

asyncio.run(main())
"""


def run(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python process on the program, with what the tests can import."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "capability", [",".join(CAPABILITIES), *(pytest.param(one, marks=pytest.mark.long) for one in CAPABILITIES)]
)
def test_the_stream_holds_without(capability: str, tmp_path: Path) -> None:
    answer = run(STREAM, tmp_path, TEST_WITHOUT=capability, DURABILITY="power")
    assert (answer.returncode, answer.stdout) == (0, "whole DENY\n"), answer.stderr


def test_without_locks_on_files_it_is_said(tmp_path: Path) -> None:
    answer = run("import sys; sys.modules['fcntl'] = None\n" + STREAM, tmp_path, DURABILITY="process")
    assert answer.returncode == 1
    assert "OSError: this Python has no fcntl, so no file can be locked" in answer.stderr


@pytest.mark.parametrize("given", [b"", b"abc", b"x" * 5_000])
def test_space_is_reserved_without_help_from_the_system(
    given: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    path = tmp_path / "segment"
    path.write_bytes(given)
    with path.open("r+b") as file:
        platform.reserve(file.fileno(), 4_096)
    assert path.read_bytes() == given.ljust(4_096, b"\0")
    assert path.stat().st_blocks * 512 >= 4_096


class NoSignals(asyncio.SelectorEventLoop):
    """A loop as those of Windows: it takes no signal handlers."""

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: object) -> None:
        """Not here."""
        raise NotImplementedError


@pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, NoSignals])
def test_a_signal_is_taken_by_the_loop_and_given_back(loop: type[asyncio.SelectorEventLoop]) -> None:
    seen: list[str] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: seen.append("before"))

    async def main() -> None:
        received = asyncio.Event()
        with platform.handle_signals([signal.SIGUSR1], received.set):
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.wait_for(received.wait(), 5)
            seen.append("inside")

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
        if loop is NoSignals:  # asyncio itself leaves the default behind, not what was there
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == (["inside", "before"] if loop is NoSignals else ["inside"])
