#!/usr/bin/env bash
# Guess: a function that was connected to a signal or topic stays connected until it is disconnected.
# Truth: blinker, PyPubSub and PyDispatcher hold it weakly: a lambda, an inner function or the method of an object that nobody
# else holds is gone at once, with no word. psygnal holds functions, but forgets such methods as well.
# Why it matters: subscribers for alarms that are set up inside of a function work in a test that keeps the object and never
# fire in the service. Keep a reference, or connect with weak=False (blinker, PyDispatcher).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q blinker==1.9.0 pypubsub==4.0.7 pydispatcher==2.0.7 psygnal==0.16.1
cat >ask.py <<'P'
from blinker import Signal as BlinkerSignal
from psygnal import Signal
from pubsub import pub
from pydispatch import dispatcher

calls = []


class Pager:
    def page(self, arg=None, **_):
        calls.append("method")


class Robot:
    alarm = Signal(int)


def heard(connect, send):
    calls.clear()
    connect(lambda arg=None, **_: calls.append("lambda"))
    connect(Pager().page)
    send()
    return f"{calls.count('lambda')} {calls.count('method')}"


signal, robot = BlinkerSignal(), Robot()
print(
    "blinker " + heard(signal.connect, signal.send),
    "pypubsub " + heard(lambda call: pub.subscribe(call, "alarm"), lambda: pub.sendMessage("alarm", arg=1)),
    "pydispatcher " + heard(lambda call: dispatcher.connect(call, signal="alarm"), lambda: dispatcher.send(signal="alarm")),
    "psygnal " + heard(robot.alarm.connect, lambda: robot.alarm.emit(1)),
    sep=", ",
)
P
seen=$(v/bin/python ask.py)
echo "blinker 1.9.0, pypubsub 4.0.7, pydispatcher 2.0.7, psygnal 0.16.1, calls of a lambda and of a method: $seen"
[ "$seen" = "blinker 0 0, pypubsub 0 0, pydispatcher 0 0, psygnal 1 0" ]
