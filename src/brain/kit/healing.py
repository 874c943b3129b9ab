"""The healing actions of this process, by the kind of health event that they heal.

The plug-in `immune` registers and runs them. Others ask which kinds are healed, to wait for the outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from brain.charter import HealthKind

ACTIONS: MutableMapping[HealthKind, Callable[[Any], Awaitable[str] | str]] = {}
"""Each action takes the HealthEvent, deals with it, and returns what it did, in words."""


def is_healed(kind: str) -> bool:
    """Whether an action or a playbook for this kind of health event is there now."""
    return kind in ACTIONS or _by_playbooks[kind] > 0


_by_playbooks: Counter[str] = Counter()


@contextmanager
def healed_by_playbooks(kinds: Iterable[str]) -> Iterator[None]:
    """Inside of this block playbooks of this process deal with these kinds of health events."""
    known = [*kinds]
    _by_playbooks.update(known)
    try:
        yield
    finally:
        _by_playbooks.subtract(known)
