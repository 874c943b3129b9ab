#!/usr/bin/env bash
# Guess: a raw value beyond the range that the DBC gives (in J1939, FF is "not available") is None or an error in cantools.
# Truth: decode goes by scale and offset alone: an absent coolant sensor has 215 degC of [-40|210]. encode refuses that very number. And a
# named value equals its name, but is no number, has no hash and no JSON.
# Why it matters: an unplugged sensor is an engine on fire for a rule on temperature, and a gear is found by `==` but raises in a set or in
# json.dumps. Compare with the signal's maximum, and decode with decode_choices=False.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q cantools==45.1.0
cat >engine.dbc <<'D'
VERSION ""
NS_ :
BS_:
BU_: ECU
BO_ 256 Engine: 8 ECU
 SG_ Coolant : 0|8@1+ (1,-40) [-40|210] "degC" ECU
 SG_ Gear : 8|8@1+ (1,0) [0|3] "" ECU
VAL_ 256 Gear 0 "Park" 1 "Drive" ;
D
cat >ask.py <<'P'
import json

import cantools


def outcome(do, value):
    try:
        return do(value)
    except (TypeError, cantools.database.EncodeError) as error:
        return type(error).__name__


engine = cantools.database.load_file("engine.dbc").get_message_by_name("Engine")
found = engine.decode(bytes([0xFF, 0, 0, 0, 0, 0, 0, 0]))
gear = found["Gear"]
print(found["Coolant"], outcome(engine.encode, found), end="; ")
print(gear, gear == "Park", gear == 0, outcome(lambda one: one in {"Park"}, gear), outcome(json.dumps, gear))
P
seen=$(v/bin/python ask.py)
echo "cantools 45.1.0, FF decoded and encoded; a gear, is it Park, is it 0, in a set, as JSON: $seen"
[ "$seen" = "215 EncodeError; Park True False TypeError TypeError" ]
