"""How long to wait before something is tried again: doubling delays with jitter."""

from __future__ import annotations

import random

_MOST_DOUBLINGS = 60  # beyond it no delay grows any more, and a number would overflow


def retry_delay(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row (1 or more): `first`, doubled each time, at most `longest`.

    Half of it at least, at random, so that those who failed together do not come back together.
    """
    doubled = first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(longest, doubled) * random.uniform(0.5, 1.0)


class Backoff:
    """The delays between tries at one thing, in seconds; `reset` it when a try succeeds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._failures = 0

    def next_delay(self) -> float:
        """How long to wait after one more failure."""
        self._failures += 1
        return retry_delay(self._failures, self._first, self._longest)

    def reset(self) -> None:
        """The last try succeeded: the next delay is the first one again."""
        self._failures = 0
