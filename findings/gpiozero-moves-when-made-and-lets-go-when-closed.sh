#!/usr/bin/env bash
# Guess: making a device object of gpiozero changes nothing before a value is set, and close() leaves the pin as it was.
# Truth: Servo and AngularServo drive to the middle when made, OutputDevice switches off what was on; close(), and so the
# program's end, turns the pin into an input: the level is then up to the wiring.
# Why it matters: a restart of the controller moves the arm and clicks the relay before any command, and a brake that should
# stay held is let go at its end. Give initial_value=None; wire pulls so that an input is safe.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q gpiozero==2.0.1.post3
cat >ask.py <<'P'
from gpiozero import Device, OutputDevice, Servo
from gpiozero.pins.mock import MockFactory, MockPWMPin

Device.pin_factory = MockFactory(pin_class=MockPWMPin)
relay = OutputDevice(4)
relay.on()
pin = relay.pin
on = f"{pin.function} {pin.state:.0f}"
relay.close()
closed = f"{pin.function} {pin.state:.0f}"
pin = Device.pin_factory.pin(4)
pin.function = "output"
pin.state = 1
again = OutputDevice(4)
print(f"servo {Servo(12).value}, with None {Servo(13, initial_value=None).value}", end="; ")
print(f"relay on: {on}, closed: {closed}, made again without None: {again.value}")
P
seen=$(v/bin/python ask.py)
echo "gpiozero 2.0.1.post3 on its mock pins: $seen"
[ "$seen" = "servo 0.0, with None None; relay on: output 1, closed: input 0, made again without None: 0" ]
