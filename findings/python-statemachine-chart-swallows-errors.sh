#!/usr/bin/env bash
# Guess: in python-statemachine, an exception in a callback reaches whoever sent the event, and the state stays.
# Truth: with StateMachine so; with StateChart, the newer base class, the exception becomes an event `error.execution` that
# nobody has to handle: send() returns, the machine has moved on. An event that the state does not know is passed over too.
# Why it matters: a mission whose `on_pick` failed stands in "carrying", with no error anywhere. Set catch_errors_as_events =
# False and allow_event_without_transition = False, or handle error.execution.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q python-statemachine==3.2.2
cat >ask.py <<'P'
from statemachine import State, StateChart, StateMachine


def mission(base):
    class Mission(base):
        idle = State(initial=True)
        carrying = State()
        pick = idle.to(carrying)
        drop = carrying.to(idle)

        def on_pick(self):
            raise OSError

    return Mission()


def outcome(machine, event):
    try:
        machine.send(event)
    except Exception as error:
        return type(error).__name__
    return "no error"


def line(base):
    machine = mission(base)
    unknown = outcome(mission(base), "drop")
    return f"{base.__name__}: {outcome(machine, 'pick')}, unknown event: {unknown}, in {next(iter(machine.configuration)).id}"


print(line(StateMachine), line(StateChart), sep="; ")
P
seen=$(v/bin/python ask.py)
echo "python-statemachine 3.2.2: $seen"
[ "$seen" = "StateMachine: OSError, unknown event: TransitionNotAllowed, in idle; StateChart: no error, unknown event: no error, in carrying" ]
