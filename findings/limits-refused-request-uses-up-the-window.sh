#!/usr/bin/env bash
# Guess: in the package limits, hit(cost=5) with 3 left in the window is refused and leaves the 3.
# Truth: FixedWindowRateLimiter counts the refused cost as well: 0 are left, and hit(cost=1) is refused until the window ends.
# MovingWindow and SlidingWindowCounter leave the 3.
# Why it matters: one agent's request that is too large locks out all small ones under the same key for the rest of the window,
# and the log shows refusals below the limit. Call test(cost=...) before hit where costs differ, or take another strategy.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q limits==5.8.0
cat >ask.py <<'P'
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

seen = []
for strategy in (FixedWindowRateLimiter, MovingWindowRateLimiter, SlidingWindowCounterRateLimiter):
    limiter, limit = strategy(MemoryStorage()), parse("10/hour")
    assert limiter.hit(limit, "agent", cost=7) and not limiter.hit(limit, "agent", cost=5)
    left = limiter.get_window_stats(limit, "agent").remaining
    seen.append(f"{strategy.__name__.removesuffix('RateLimiter')} {left} {limiter.hit(limit, 'agent')}")
print(", ".join(seen))
P
seen=$(v/bin/python ask.py)
echo "limits 5.8.0, left and the next small hit, by strategy: $seen"
[ "$seen" = "FixedWindow 0 False, MovingWindow 3 True, SlidingWindowCounter 3 True" ]
