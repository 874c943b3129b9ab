#!/usr/bin/env bash
# Guess: a function tool checks the model's arguments against the schema that it showed the model, before the function runs.
# Truth: LlamaIndex and Haystack hand over what came, "false" for a boolean too; LlamaIndex calls a function of one parameter by
# position, whatever the argument's name: {"goal": "r7"} runs halt(robot="r7"). AutoGen converts, and drops unknown names.
# Why it matters: a rule on params.robot or params.live that is asked before the tool sees other arguments than the function
# gets. Guard the function itself, inside the tool, and validate there.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q llama-index-core==0.14.25 haystack-ai==3.4.1 autogen-core==0.7.5
cat >ask.py <<'P'
import asyncio

from autogen_core import CancellationToken
from autogen_core.tools import FunctionTool as AutoGenTool
from haystack.tools import create_tool_from_function
from llama_index.core.tools import FunctionTool as LlamaTool
from llama_index.core.tools.calling import call_tool

got = []


def refund(amount: int, live: bool = False) -> str:
    "Refund an amount."
    got.append(f"{amount!r}/{live!r}")
    return "done"


def halt(robot: str) -> str:
    "Halt a robot."
    got.append(robot)
    return "done"


ways = {
    "llama-index": lambda function, arguments: call_tool(LlamaTool.from_defaults(function), arguments),
    "haystack": lambda function, arguments: create_tool_from_function(function).invoke(**arguments),
    "autogen": lambda function, arguments: asyncio.run(AutoGenTool(function, "A tool.").run_json(arguments, CancellationToken())),
}
calls = [(refund, {"amount": 900, "live": "false"}), (refund, {"amount": 900, "sum": 1}), (halt, {"goal": "r7"})]
for name, call in ways.items():
    for number, (function, arguments) in enumerate(calls, 1):
        try:
            call(function, arguments)
        except Exception:
            pass
        got[number:] = []
        got += ["refused"] * (number - len(got))
    print(name, *got)
    got.clear()
P
seen=$(v/bin/python -W ignore ask.py)
echo "llama-index-core 0.14.25, haystack-ai 3.4.1, autogen-core 0.7.5; what the function got in three calls:"
echo "$seen"
[ "$seen" = "llama-index 900/'false' refused r7
haystack 900/'false' refused refused
autogen 900/False 900/False refused" ]
