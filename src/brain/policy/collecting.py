"""Many objects made at once, none of them garbage: Python's collector looks through them in vain, again and again."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_changing = threading.Lock()
_pauses = 0


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the collector off within, in all threads; memory without cycles is freed all the same."""
    global _pauses
    with _changing:
        if _pauses == 0 and not gc.isenabled():
            paused = False
        else:
            paused = True
            _pauses += 1
            gc.disable()
    try:
        yield
    finally:
        if paused:
            with _changing:
                _pauses -= 1
                if _pauses == 0:
                    gc.enable()
