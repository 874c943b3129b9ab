#!/usr/bin/env bash
# Guess: pint turns 60 rpm into 1 Hz, and reads units as devices write them: 20 C in degrees, 30 fps in frames.
# Truth: 60 rpm are 6.28 Hz, since radians have no dimension and count as 1 there; 20 C is a charge in coulomb, 30 fps a speed
# in feet, 5 a are years. None of these raises.
# Why it matters: limits on fans and wheels are off by 6.28, and a reading with unit "C" passes every check until someone
# compares it. Divide rpm by 60 by hand, and map each device's names of units first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pint==0.25.3
cat >ask.py <<'P'
import pint

read = pint.UnitRegistry()
units = ", ".join(f"{text} {read(text).units}" for text in ("20 C", "30 fps", "5 a"))
print(f"60 rpm are {read('60 rpm').to('Hz').magnitude:.2f} hertz, {units}")
P
seen=$(v/bin/python ask.py)
echo "pint 0.25.3: $seen"
[ "$seen" = "60 rpm are 6.28 hertz, 20 C coulomb, 30 fps foot_per_second, 5 a year" ]
