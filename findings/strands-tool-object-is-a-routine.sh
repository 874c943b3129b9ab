#!/usr/bin/env bash
# Guess: inspect.isroutine() is true of functions and methods only, so it tells a plain function from a framework's tool object.
# Truth: the object that strands.tool makes defines __get__ so as to serve as a method, and that is enough to make it a "method
# descriptor": isroutine is true of it.
# Why it matters: code that sorts what it is given into "function" and "tool object" by isroutine wraps the object as a function
# and loses its schema. Ask for the tool type first, or use isfunction.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q strands-agents==1.62.0
cat >ask.py <<'P'
import inspect

import strands


@strands.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


print(type(add).__name__, inspect.isroutine(add), inspect.ismethoddescriptor(add), inspect.isfunction(add), add.tool_name)
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "strands-agents 1.62.0: $seen"
[ "$seen" = "DecoratedFunctionTool True True False add" ]
