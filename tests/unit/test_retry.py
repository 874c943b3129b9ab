"""Delays between tries: doubled, bounded, jittered, and started over after a success."""

from __future__ import annotations

from itertools import pairwise

import pytest

from brain.stream.retry import Backoff, retry_delay


@pytest.mark.parametrize("failures", [1, 2, 3, 10, 2_000_000])
def test_a_delay_is_doubled_up_to_its_bound(failures: int) -> None:
    full = min(30.0, 0.1 * 2.0 ** min(failures - 1, 60))
    found = {retry_delay(failures, 0.1, 30.0) for _ in range(200)}
    assert all(full / 2 <= delay <= full for delay in found)
    assert len(found) > 100  # jittered


def test_a_success_starts_over() -> None:
    backoff = Backoff(1.0, 64.0)
    delays = [backoff.next_delay() for _ in range(12)]
    assert all(later >= 0.99 * earlier for earlier, later in pairwise(delays[:7]))
    assert all(32.0 <= delay <= 64.0 for delay in delays[7:])
    backoff.reset()
    assert 0.5 <= backoff.next_delay() <= 1.0
