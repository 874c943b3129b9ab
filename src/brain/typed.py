"""Types made ready for msgspec by one thread alone, before another one uses them.

msgspec works out what it has to know of a type at its first use, and keeps it with the type from the beginning: another
thread that uses the type meanwhile finds it half done, and the process ends (seen with msgspec 0.22.0). So whoever
decodes to a type, or converts to it, names it by `ready`: once that returns, everything below the type is known.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from brain.locks import InterruptibleLock
from brain.platform import at_fork

__all__ = ["ready"]

T = TypeVar("T")

_ready: set[Any] = set()
_making = InterruptibleLock()


def ready(type: T) -> T:
    """The type itself, once msgspec knows all of it. Raises TypeError for what msgspec cannot read."""
    if type not in _ready:
        with _making:
            msgspec.json.Decoder(type)
        _ready.add(type)
    return type


def _renew_lock() -> None:
    """A thread of the parent that held it is none of the child's."""
    global _making
    _making = InterruptibleLock()


at_fork(in_child=_renew_lock)
