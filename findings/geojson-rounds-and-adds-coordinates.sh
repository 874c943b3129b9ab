#!/usr/bin/env bash
# Guess: geojson.loads followed by dumps gives back the numbers and the properties that were there.
# Truth: coordinates are rounded to 6 places, on reading as well; an object in `properties` whose `type` is a word like Point is
# made a geometry and comes out with `coordinates` added.
# Why it matters: a surveyed map that is read and saved loses up to 6 cm for good, and properties of devices ("type": "Point")
# are other ones. Set geojson.geometry.DEFAULT_PRECISION, or use json for what is only passed on.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q geojson==3.3.0
cat >ask.py <<'P'
import json

import geojson

text = json.dumps({
    "type": "Feature",
    "geometry": {"type": "Point", "coordinates": [13.123456789, 52.987654321]},
    "properties": {"device": {"type": "Point", "name": "x"}},
})
back = json.loads(geojson.dumps(geojson.loads(text), sort_keys=True))
print(back["geometry"]["coordinates"], back["properties"]["device"])
P
seen=$(v/bin/python ask.py)
echo "geojson 3.3.0: $seen"
[ "$seen" = "[13.123457, 52.987654] {'coordinates': [], 'name': 'x', 'type': 'Point'}" ]
