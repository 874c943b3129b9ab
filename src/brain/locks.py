"""A lock that what interrupts its taker leaves free: a signal handler that raises, Ctrl-C in a notebook.

Python 3.14 calls `__enter__` as it calls any function, and may run a signal handler between that call and the block of
`with`. What the handler raises there leaves a lock of `threading` held for good, and whoever asks for it next hangs
(https://github.com/python/cpython/issues/148874). Earlier versions have no such moment.
"""

from __future__ import annotations

import sys
from _thread import RLock

if sys.version_info < (3, 14):
    InterruptibleLock = RLock
else:

    class InterruptibleLock(RLock):  # type: ignore[misc]
        """A re-entrant lock whose `with` gives it back, whatever is raised.

        `__exit__` stays the inherited one: a function written in Python may be interrupted before its first step.
        """

        def __enter__(self) -> bool:
            try:
                return self.acquire()
            except BaseException:
                # Behind the `acquire` of this thread, or while it waited: only then there is nothing to give back. In
                # one step from here on, since the next handler may raise, too.
                try:  # noqa: SIM105  (`suppress` takes more steps)
                    self.release()
                except RuntimeError:
                    pass
                raise


__all__ = ["InterruptibleLock"]
