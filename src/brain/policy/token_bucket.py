"""A token bucket by one number: when it is full again."""

from __future__ import annotations


def filled(full: float, speed: float, burst: float, want: int, now: float) -> tuple[int, float, float]:
    """Tokens from a bucket that is full again at `full`: how many, when it is full then, and the wait for the next.

    It is the generic cell rate algorithm: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
    """
    full = max(full, now)
    room = int((burst - (full - now) * speed) + 1e-9)
    granted = max(0, min(want, room))
    wait = 0.0 if granted else (full - now) - (burst - 1) / speed
    return granted, full + granted / speed, wait
