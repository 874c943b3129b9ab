#!/usr/bin/env bash
# Guess: utm.from_latlon on arrays gives each point in its own UTM zone, or refuses points of several zones.
# Truth: all points are put into the zone of the first one: Paris after Berlin gets an easting of -431563 in zone 33, where its
# own is 448596 in zone 31. Which zone it is depends on the order of the rows.
# Why it matters: distances in the second city come out 1 % too long, its tiles and grid cells are elsewhere, and all changes
# with a sort. Convert by site, or give force_zone_number.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q utm==0.9.0 numpy==2.4.6
cat >ask.py <<'P'
import numpy
import utm

berlin, paris = (52.5, 13.4), (48.8, 2.3)


def of_paris(*points):
    easting, _, zone, _ = utm.from_latlon(*numpy.array(points).T)
    return f"{easting[points.index(paris)]:.0f} {zone}"


print(f"after Berlin {of_paris(berlin, paris)}, first {of_paris(paris, berlin)}, alone {of_paris(paris)}")
P
seen=$(v/bin/python ask.py)
echo "utm 0.9.0, easting and zone of Paris: $seen"
[ "$seen" = "after Berlin -431563 33, first 448596 31, alone 448596 31" ]
