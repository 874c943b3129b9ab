#!/usr/bin/env bash
# Guess: two fasteners.InterProcessLock objects on one file exclude each other, in two processes and in two threads of one.
# Truth: in one process both are acquired at once, since POSIX locks belong to the process; and when the second is released, the
# first one's lock is gone too: another process gets it while the first still says acquired. filelock refuses the second.
# Why it matters: two agents in threads of a worker both own the robot or the migration, and a helper that takes the lock for a
# moment opens it for everybody. Keep one lock object for each file and process, with a threading.Lock beside it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q fasteners==0.20 filelock==4.3.1
cat >ask.py <<'P'
import subprocess
import sys

import fasteners
import filelock

first, second = fasteners.InterProcessLock("robot.lock"), fasteners.InterProcessLock("robot.lock")
print(f"fasteners: first {first.acquire(blocking=False)}, second {second.acquire(blocking=False)}", end=", ")
second.release()
ASK = "import fasteners; print(fasteners.InterProcessLock('robot.lock').acquire(blocking=False))"
other = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout.strip()
assert first.acquired
print(f"another process after the second's release {other}", end="; ")
one, two = filelock.FileLock("other.lock"), filelock.FileLock("other.lock")
one.acquire(timeout=0)
try:
    two.acquire(timeout=0)
    answer = "acquired"
except filelock.Timeout:
    answer = "refused"
print(f"filelock: second {answer}")
P
seen=$(v/bin/python ask.py)
echo "fasteners 0.20, filelock 4.3.1: $seen"
[ "$seen" = "fasteners: first True, second True, another process after the second's release True; filelock: second refused" ]
