#!/usr/bin/env bash
# Guess: a half-open breaker of the package circuitbreaker lets one call through to try the service; the others are refused.
# Truth: it lets every call through until the first one has ended: five threads at once are five calls. And recovery_timeout=0
# does not mean at once: it is taken as unset, which is 30 s.
# Why it matters: the service that is coming back gets the whole fleet's waiting calls at the same moment, slow first calls
# above all, and falls again. Put a semaphore of one before the breaker.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q circuitbreaker==2.1.3
cat >ask.py <<'P'
import threading
import time

from circuitbreaker import CircuitBreaker

reached, all_in = [], threading.Barrier(5, timeout=60)


def service(up):
    if not up:
        raise OSError
    reached.append(up)
    all_in.wait()


breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=0.01)
try:
    breaker.call(service, False)
except OSError:
    pass
while breaker.state != "half_open":
    time.sleep(0.01)
threads = [threading.Thread(target=breaker.call, args=(service, True)) for _ in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
at_once = CircuitBreaker(failure_threshold=1, recovery_timeout=0)
try:
    at_once.call(service, False)
except OSError:
    pass
print(f"{len(reached)}; recovery_timeout=0: {at_once.open_remaining:.0f}")
P
seen=$(v/bin/python ask.py)
echo "circuitbreaker 2.1.3, calls that reached the half-open service, of 5: $seen"
[ "$seen" = "5; recovery_timeout=0: 30" ]
