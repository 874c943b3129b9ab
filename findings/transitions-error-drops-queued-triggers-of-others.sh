#!/usr/bin/env bash
# Guess: in a `transitions` Machine with queued=True, an error in one model's callback leaves other models' triggers alone.
# Truth: the queue belongs to the machine: the error empties it, and triggers of other models are gone, though each of them
# answered True (as do those that a condition refuses).
# Why it matters: one machine over a fleet is usual. A fault in one robot's callback swallows the stop of another, and its
# caller has True in hand. Use a machine for each robot, or look at the state afterwards.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q transitions==0.9.3
cat >ask.py <<'P'
from transitions import Machine


class Robot:
    pass


def fault(*_):
    answers.append(other.stop())
    raise RuntimeError


answers, first, other = [], Robot(), Robot()
fleet = Machine([first, other], states=["running", "stopped", "docked"], initial="running", queued=True)
fleet.add_transition("stop", "running", "stopped")
fleet.add_transition("dock", "running", "docked", after=fault)
try:
    first.dock()
except RuntimeError:
    pass
print(f"the other's stop answered {answers[0]}, its state is {other.state}")
P
seen=$(v/bin/python ask.py)
echo "transitions 0.9.3: $seen"
[ "$seen" = "the other's stop answered True, its state is running" ]
