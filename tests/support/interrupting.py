"""Raising at a chosen step, as a signal handler may: behind a call of a function that is not written in Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """What a signal handler may raise into whatever it interrupts."""


def interrupted_at(when: int, work: Callable[[], object], within: str = "/brain/") -> bool:
    """Do the work, with Interrupted raised behind its `when`-th such call in files `within`; whether it came to that.

    The interpreter runs signal handlers there, and where functions begin.
    """
    steps = 0

    def step(frame: FrameType, what: str, argument: Any) -> None:
        nonlocal steps
        if what == "c_return" and within in frame.f_code.co_filename:
            steps += 1
            if steps == when:
                sys.setprofile(None)
                raise Interrupted

    sys.setprofile(step)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.setprofile(None)
    return steps >= when


def interrupted_before(when: int, work: Callable[[], object], within: str) -> bool:
    """As `interrupted_at`, before the `when`-th instruction of the interpreter: finer than any handler can do it."""
    steps = 0

    def step(frame: FrameType, what: str, argument: Any) -> Any:
        nonlocal steps
        if within not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if what == "opcode":
            steps += 1
            if steps == when:
                sys.settrace(None)
                raise Interrupted
        return step

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 traces instructions only where this was set beforehand
    sys.settrace(step)
    try:
        work()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return steps >= when
