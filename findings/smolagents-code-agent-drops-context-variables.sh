#!/usr/bin/env bash
# Guess: a tool of a smolagents agent runs with the context variables of whoever called agent.run().
# Truth: ToolCallingAgent copies the context into its threads; CodeAgent runs each piece of code in a new thread with an empty
# context, so that there every ContextVar has its default.
# Why it matters: tenant, trace and acting agent travel in context variables. A guard inside a tool of a CodeAgent does not know
# who is acting; bind the agent to the tool itself, or refuse.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q smolagents==1.26.0
cat >ask.py <<'P'
import contextvars

from smolagents import CodeAgent, ToolCallingAgent, tool
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole, Model

who = contextvars.ContextVar("who", default="nobody")
seen = []


@tool
def note() -> str:
    """Write down who is acting."""
    seen.append(who.get())
    return "noted"


class Writes(Model):
    def generate(self, messages, **options):
        return ChatMessage(MessageRole.ASSISTANT, "Thought: so\n<code>\nnote()\nfinal_answer('done')\n</code>")


class Calls(Model):
    asked = 0

    def generate(self, messages, **options):
        name, arguments = [("note", {}), ("final_answer", {"answer": "done"})][self.asked]
        self.asked += 1
        function = ChatMessageToolCallFunction(name=name, arguments=arguments)
        return ChatMessage(MessageRole.ASSISTANT, "", [ChatMessageToolCall(function=function, id=name, type="function")])


who.set("alice")
CodeAgent(tools=[note], model=Writes(), verbosity_level=0).run("go")
ToolCallingAgent(tools=[note], model=Calls(), verbosity_level=0).run("go")
print("CodeAgent", seen[0], "ToolCallingAgent", seen[1])
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "smolagents 1.26.0: $seen"
[ "$seen" = "CodeAgent nobody ToolCallingAgent alice" ]
