"""Processes that match pages of events, so that a backtest uses every processor.

Each has a pipe of its own, and one page at most: this process sends a page when it has the answer to the one before, so
neither waits for the other to read. One whose backtest ends, or is killed, finds its pipe closed and ends.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import msgspec

from brain.detections.loading import Loaded
from brain.detections.pages import MatchedPage, PageMatcher
from brain.errors import Unavailable
from brain.garbage import collect_seldom
from brain.typed import ready

ENDS = 10.0
"""Seconds for which a process that is to end is waited for."""


def match_pages(
    pages: Iterable[Sequence[bytes]], loaded: Loaded, span: tuple[float, float], processes: int
) -> Iterator[MatchedPage]:
    """What came of each page, in their order: matched by so many processes besides this one.

    Raises Unavailable when one of them ends, as where the system has no memory for it.
    """
    matcher = PageMatcher(loaded, *span)
    context = multiprocessing.get_context("spawn")
    workers: list[tuple[SpawnProcess, Connection]] = []
    busy: deque[Connection] = deque()
    try:
        for _ in range(processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, loaded, span), daemon=True)
            with _interrupted_alone():
                worker.start()
            theirs.close()
            workers.append((worker, ours))
        idle = deque(pipe for _, pipe in workers)
        for page in pages:
            answer = None
            if not idle:
                answer = busy[0].recv_bytes()
                idle.append(busy.popleft())
            pipe = idle.popleft()
            pipe.send_bytes(msgspec.msgpack.encode(page))
            busy.append(pipe)
            if answer is not None:
                yield matcher.unpack(answer)
        while busy:
            yield matcher.unpack(busy.popleft().recv_bytes())
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        raise Unavailable(
            "detections: a process that matched events has ended before its time; try again with --processes 0"
        ) from error
    finally:
        for _, pipe in workers:
            pipe.close()
        for worker, _ in workers:
            worker.join(ENDS)
            if worker.is_alive():
                worker.kill()


@contextmanager
def _interrupted_alone() -> Iterator[None]:
    """Ctrl-C goes to all processes of a terminal: those that start within leave it to this one, whose end ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else it starts within, and lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, loaded: Loaded, span: tuple[float, float]) -> None:
    collect_seldom()  # as the command does whose backtest it is
    matcher = PageMatcher(loaded, *span)
    decode = msgspec.msgpack.Decoder(ready(list[bytes])).decode
    while True:
        try:
            page = decode(pipe.recv_bytes())
            pipe.send_bytes(matcher.pack(matcher.match(page)))
        except (EOFError, OSError, KeyboardInterrupt):
            return  # whoever asked has ended, or ends
