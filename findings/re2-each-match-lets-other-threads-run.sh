#!/usr/bin/env bash
# Guess: a match by google-re2 is one short call into C, as one by `re` is: no other thread of Python runs within it.
# Truth: each match gives the interpreter's lock away and takes it back, whatever the length of the text; `re` keeps it.
# Why it matters: beside a busy thread a check of two microseconds on the path of a request waits, now and then, for up to the
# switch interval (5 ms): the median shows nothing, the 99.9th percentile is that of the other thread. Where most texts come again,
# remember the verdicts; where they do not, make one match of many texts.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q google-re2==1.1.20251105
cat >ask.py <<'P'
import re
import sys
import threading

import re2

sys.setswitchinterval(1000)  # only who gives the lock away loses it
TEXT = b"some words " * 20
ran = 0


def count() -> None:
    """One step each time that this thread gets the lock; it gives it back at once."""
    global ran
    while not done:
        ran += 1
        waiting.wait(0.0001)


def steps(search) -> int:
    before = ran
    for _ in range(200_000):
        search(TEXT)
    return ran - before


done, waiting = False, threading.Event()
threading.Thread(target=count, daemon=True).start()
patterns = (b"secret|token", b"pass(word|wd)")
kept = sum(steps(re.compile(pattern).search) for pattern in patterns)
given = sum(steps(re2.compile(pattern).search) for pattern in patterns)
done = True
print(f"steps of another thread within 400,000 matches: re {kept}, re2 {'many' if given > 10 else given}")
P
seen=$(v/bin/python ask.py)
echo "google-re2 1.1.20251105: $seen"
[ "$seen" = "steps of another thread within 400,000 matches: re 0, re2 many" ]
