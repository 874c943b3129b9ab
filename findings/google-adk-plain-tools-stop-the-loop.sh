#!/usr/bin/env bash
# Guess: google-adk, which is asynchronous throughout, runs a plain (synchronous) tool function in a worker thread.
# Truth: unless a thread pool is configured for the run, it calls the function on the event loop's thread; while the tool waits,
# nothing else in the process goes on.
# Why it matters: a tool that asks a person for approval, or reads a slow file, stops every other agent of the process and the
# health checks too. Write such tools as async def.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q google-adk==2.13.0
cat >ask.py <<'P'
import asyncio
import threading
import time

from google.adk.tools import FunctionTool

ticks, where = [], []


def slow() -> str:
    """Wait a little."""
    where.append(threading.current_thread() is threading.main_thread())
    time.sleep(0.5)
    return "done"


async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.01)


async def main():
    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await FunctionTool(slow).run_async(args={}, tool_context=None)
    print("on the loop's thread", where[0], "ticks during 0.5 s", len(ticks) - 1)
    ticker.cancel()


asyncio.run(main())
P
seen=$(v/bin/python -W ignore ask.py 2>/dev/null)
echo "google-adk 2.13.0: $seen"
[ "$seen" = "on the loop's thread True ticks during 0.5 s 0" ]
