#!/usr/bin/env bash
# Guess: when a person has answered, a LangGraph node goes on behind its `interrupt()`, as a coroutine behind `await`.
# Truth: the node begins anew for each answer, and interrupts that have answers give them at once: what stands before them is done again.
# Two questions in a node: its first line runs three times.
# Why it matters: approvals are the use of interrupt(). A ticket, a message or a payment before the question is made once more for
# each answer. Ask first and act behind the last question, or in a node of its own.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q langgraph==1.2.24
cat >ask.py <<'P'
from typing import TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt


class State(TypedDict, total=False):
    approved: list[str]


def node(_):
    done.append("ticket opened")
    return {"approved": [interrupt("restart the robot?"), interrupt("now?")]}


done = []
graph = StateGraph(State).add_node("ask", node).add_edge(START, "ask").add_edge("ask", END)
app, thread = graph.compile(checkpointer=InMemorySaver()), {"configurable": {"thread_id": "1"}}
app.invoke({}, thread)
app.invoke(Command(resume="yes"), thread)
print(app.invoke(Command(resume="at once"), thread)["approved"], len(done))
P
seen=$(v/bin/python ask.py)
echo "langgraph 1.2.24, answers and tickets opened: $seen"
[ "$seen" = "['yes', 'at once'] 3" ]
