#!/usr/bin/env bash
# Guess: an exception in pybreaker's `exclude` leaves the breaker as it was: it neither opens nor closes it.
# Truth: it counts as success. It sets the counter of failures back to 0, and one of them in the half-open state closes the
# breaker.
# Why it matters: "not found" or "invalid input", excluded since they are no fault of the service, keep a breaker shut through
# any number of outages as long as they come between, and put full load on a service that has not answered one call yet.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pybreaker==1.4.1
cat >ask.py <<'P'
import pybreaker


def fail(error):
    raise error


def call(breaker, error):
    try:
        breaker.call(fail, error)
    except (type(error), pybreaker.CircuitBreakerError):
        return breaker


counting = pybreaker.CircuitBreaker(fail_max=3, exclude=[KeyError])
call(counting, OSError())
before = call(counting, OSError()).fail_counter
after = call(counting, KeyError()).fail_counter
half = pybreaker.CircuitBreaker(fail_max=1, exclude=[KeyError])
half.half_open()
print(f"failures {before}, after an excluded error {after}; half-open after an excluded error: {call(half, KeyError()).current_state}")
P
seen=$(v/bin/python ask.py)
echo "pybreaker 1.4.1: $seen"
[ "$seen" = "failures 2, after an excluded error 0; half-open after an excluded error: closed" ]
