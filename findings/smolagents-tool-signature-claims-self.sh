#!/usr/bin/env bash
# Guess: inspect.signature of the forward function of a smolagents @tool names the arguments that a caller has to pass.
# Truth: forward is a static method, and yet its signature begins with self; binding by it shifts every argument by one place.
# Why it matters: wrappers that bind arguments by signature (guards, tracers, caches) see the first argument as self, or raise
# "missing a required argument" for a call that works. Take the tool's `inputs` for the names.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q smolagents==1.26.0
cat >ask.py <<'P'
import inspect

from smolagents import tool


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first.
        b: the second.
    """
    return a + b


kind = type(inspect.getattr_static(add, "forward")).__name__
try:
    bound = dict(inspect.signature(add.forward).bind(1, 2).arguments)
except TypeError as error:
    bound = str(error)
print(kind, add.forward(1, 2), list(inspect.signature(add.forward).parameters), bound, list(add.inputs))
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "smolagents 1.26.0: $seen"
[ "$seen" = "staticmethod 3 ['self', 'a', 'b'] missing a required argument: 'b' ['a', 'b']" ]
