#!/usr/bin/env bash
# Guess: a GGA or RMC sentence without a fix, whose position fields are empty, has no latitude (None), or asking for it raises.
# Truth: pynmea2 gives latitude 0.0 and longitude 0.0, a real place in the Gulf of Guinea; only the raw field (lat) is empty.
# pynmeagps gives an empty text for the same sentence.
# Why it matters: a robot that starts indoors is "outside its zone" for a geofence rule, or a jump of thousands of kilometres for a
# detector. Look at the quality (GGA) or the status (RMC) before the position.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pynmea2==1.19.0 pynmeagps==1.1.8
cat >ask.py <<'P'
from functools import reduce

import pynmea2
from pynmeagps import NMEAReader


def sentence(body):
    return f"${body}*{reduce(lambda total, letter: total ^ ord(letter), body, 0):02X}"


gga = sentence("GPGGA,120000.00,,,,,0,00,99.99,,,,,,")
rmc = sentence("GPRMC,120000.00,V,,,,,,,010126,,,N")
for text in (gga, rmc):
    one, other = pynmea2.parse(text, check=True), NMEAReader.parse(text + "\r\n")
    print(one.latitude, one.longitude, repr(one.lat), repr(other.lat))
P
seen=$(v/bin/python ask.py)
echo "pynmea2 1.19.0 (latitude, longitude, lat) and pynmeagps 1.1.8 (lat), GGA and RMC without a fix:"
echo "$seen"
[ "$seen" = "0.0 0.0 '' ''
0.0 0.0 '' ''" ]
