#!/usr/bin/env bash
# Guess: try_acquire of pyrate-limiter answers at once: False when the limit is reached.
# Truth: since version 4 it waits until there is room again and answers True; only try_acquire(..., blocking=False) answers
# False.
# Why it matters: a guard or a handler that wanted to refuse an agent's call holds the thread instead, as long as the rate says
# (hours, for a daily limit), and nothing is ever refused or logged. The word `try` and the old versions say otherwise.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pyrate-limiter==4.5.1
cat >ask.py <<'P'
import time

from pyrate_limiter import Duration, Limiter, Rate


def timed(limiter):
    start = time.monotonic()
    answer = limiter.try_acquire("agent")
    return f"{answer} {'after a wait' if time.monotonic() - start > 0.4 else 'at once'}"


limiter = Limiter(Rate(1, Duration.SECOND))
first, second = timed(limiter), timed(limiter)
print(f"{first}, {second}; blocking=False: {limiter.try_acquire('agent', blocking=False)}")
P
seen=$(v/bin/python ask.py)
echo "pyrate-limiter 4.5.1: $seen"
[ "$seen" = "True at once, True after a wait; blocking=False: False" ]
