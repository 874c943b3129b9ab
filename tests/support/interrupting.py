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
