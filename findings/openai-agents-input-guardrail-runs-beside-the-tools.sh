#!/usr/bin/env bash
# Guess: an input guardrail of the openai-agents SDK is asked before the agent does anything; when it trips, nothing was done.
# Truth: it runs beside the first turn, and a tool that the model calls runs meanwhile; with run_in_parallel=False it is asked
# first. Those of an agent that is handed to are never asked.
# Why it matters: the run ends in InputGuardrailTripwireTriggered, which reads as "stopped", yet the refund or deletion is done.
# Guard the tools themselves, or give run_in_parallel=False.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q openai-agents==0.24.0
cat >ask.py <<'P'
import asyncio
import os

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
from agents import Agent, GuardrailFunctionOutput, Runner, function_tool, input_guardrail
from agents.exceptions import InputGuardrailTripwireTriggered
from agents.items import ModelResponse
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

log = []


def call(name):
    return ResponseFunctionToolCall(arguments="{}", call_id=name, name=name, type="function_call")


def text():
    part = ResponseOutputText(annotations=[], text="done", type="output_text")
    return ResponseOutputMessage(id="m", content=[part], role="assistant", status="completed", type="message")


class Scripted(Model):
    def __init__(self, *outputs):
        self.outputs = iter(outputs)

    async def get_response(self, *_, **__):
        return ModelResponse(output=[next(self.outputs)], usage=Usage(), response_id=None)

    def stream_response(self, *_, **__):
        raise NotImplementedError


@function_tool
async def wipe() -> str:
    log.append("tool")
    wiped.set()
    return "ok"


async def trip(*_):
    try:
        await asyncio.wait_for(wiped.wait(), 1)
    except TimeoutError:
        pass
    log.append("guardrail")
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)


def agent(guardrails, *outputs, name="first", **more):
    return Agent(name=name, model=Scripted(*outputs), tools=[wipe], input_guardrails=guardrails, **more)


async def run(first):
    global wiped
    wiped = asyncio.Event()
    log.clear()
    try:
        await Runner.run(first, "hello")
    except InputGuardrailTripwireTriggered:
        pass
    return ", ".join(log)


async def main():
    beside, before = input_guardrail(trip), input_guardrail(run_in_parallel=False)(trip)
    print("as it comes:", await run(agent([beside], call("wipe"), text())), end="; ")
    print("run_in_parallel=False:", await run(agent([before], call("wipe"), text())), end="; ")
    second = agent([before], call("wipe"), text(), name="second")
    print("handed to:", await run(agent([], call("transfer_to_second"), handoffs=[second])))


asyncio.run(main())
P
seen=$(v/bin/python ask.py)
echo "openai-agents 0.24.0: $seen"
[ "$seen" = "as it comes: tool, guardrail; run_in_parallel=False: guardrail; handed to: tool" ]
