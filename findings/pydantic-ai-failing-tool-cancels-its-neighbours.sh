#!/usr/bin/env bash
# Guess: in pydantic-ai, when a model calls two tools at once and one raises, the other one ends as it would alone.
# Truth: pydantic-ai runs them side by side and cancels the other in the middle: what stood after its next await does not
# happen, and the run raises the error of the first without a word on the second.
# Why it matters: a booking that was sent but not written down, a gripper that closed and was not recorded: half effects that
# look like none. Guard the effects with asyncio.shield or a queue, or let tools answer with a text instead of raising.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pydantic-ai-slim==2.68.0
cat >ask.py <<'P'
import asyncio

from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models.function import FunctionModel

log = []
agent = Agent(FunctionModel(lambda *_: ModelResponse(parts=[ToolCallPart("book", {}), ToolCallPart("fail", {})])))


@agent.tool_plain
async def book() -> str:
    log.append("sent")
    sent.set()
    try:
        await asyncio.sleep(60)
        log.append("written down")
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    return "booked"


@agent.tool_plain
async def fail() -> str:
    await sent.wait()
    raise RuntimeError


async def main():
    global sent
    sent = asyncio.Event()
    try:
        await agent.run("go")
    except RuntimeError as error:
        print(f"{type(error).__name__}; booking: {', '.join(log)}")


asyncio.run(main())
P
seen=$(v/bin/python ask.py)
echo "pydantic-ai-slim 2.68.0: $seen"
[ "$seen" = "RuntimeError; booking: sent, cancelled" ]
