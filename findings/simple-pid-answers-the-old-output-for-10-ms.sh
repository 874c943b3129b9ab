#!/usr/bin/env bash
# Guess: each call of a simple-pid controller calculates from the input that it is given.
# Truth: a call within 10 ms of the last one (sample_time=0.01) gives back the last output, whatever the input and even after
# the setpoint was set to 0. With dt= or sample_time=None each call calculates.
# Why it matters: a loop at 200 Hz uses every second reading, a simulation that runs faster than real time none at all, and a
# stop by setpoint 0 comes out as the old speed once. Set sample_time=None and pace the loop yourself.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q simple-pid==2.0.1
cat >ask.py <<'P'
from simple_pid import PID


def controller():
    return PID(1, 0, 0, setpoint=10)


def outputs(**given):
    pid = controller()
    return [pid(value, **given) for value in (0, 5, 9)]


stopped = controller()
stopped(0)
stopped.setpoint = 0
print(f"{outputs()}, with dt {outputs(dt=1)}, after setpoint 0: {stopped(0)}")
P
seen=$(v/bin/python ask.py)
echo "simple-pid 2.0.1, inputs 0, 5, 9 at setpoint 10: $seen"
[ "$seen" = "[10.0, 10.0, 10.0], with dt [10.0, 5.0, 1.0], after setpoint 0: 10.0" ]
