#!/usr/bin/env bash
# Guess: taskiq checks arguments against the task's annotations (it turns "5" into 5 for an int), and what does not fit is an error.
# Truth: what does not fit is logged and passed as it is: the task runs with "fast" or 1.7 as its int. And an exception in a task is no
# exception for who waits: wait_result() returns it in a field.
# Why it matters: a robot task that counts on its annotations gets texts, and code that awaits the result goes on after a failure with None.
# Check in the task, and call raise_for_error().
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q taskiq==0.13.0
cat >ask.py <<'P'
import asyncio

from taskiq import InMemoryBroker

broker = InMemoryBroker()


@broker.task
async def drive(speed: int):
    return repr(speed)


@broker.task
async def fault():
    raise RuntimeError


async def ask():
    await broker.startup()
    for speed in ("5", "fast", 1.7):
        print((await (await drive.kiq(speed)).wait_result()).return_value, end=" ")
    result = await (await fault.kiq()).wait_result()
    print(result.return_value, result.is_err)


asyncio.run(ask())
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "taskiq 0.13.0, \"5\", \"fast\" and 1.7 for an int; what waiting for a failure returns: $seen"
[ "$seen" = "5 'fast' 1.7 None True" ]
