#!/usr/bin/env bash
# Guess: the result of a huey task can be read again by the task's id, and a task that gave None is done.
# Truth: reading takes the result out of the store: the second reader gets None, as if the task still ran. None is not stored, so that
# waiting for such a task ends by the timeout only (without one, never).
# Why it matters: two pages that watch one job, or a retry of the request that reads it, see it unfinished for ever. Return something,
# or set store_none, and read with preserve=True.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q huey==3.5.4
cat >ask.py <<'P'
from huey import SqliteHuey
from huey.exceptions import ResultTimeout

queue = SqliteHuey(filename="queue.db")


@queue.task()
def answer(value):
    return value


def run(value):
    job = answer(value)
    queue.execute(queue.dequeue())
    return job.id


moved = run("moved")
print(queue.result(moved, preserve=True), queue.result(moved), queue.result(moved), end=", ")
try:
    print(queue.result(run(None), blocking=True, timeout=0.2))
except ResultTimeout as error:
    print(type(error).__name__)
P
seen=$(v/bin/python ask.py)
echo "huey 3.5.4, a result read three times (first with preserve), and one that is None: $seen"
[ "$seen" = "moved moved None, ResultTimeout" ]
