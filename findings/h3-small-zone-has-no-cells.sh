#!/usr/bin/env bash
# Guess: h3.polygon_to_cells gives the cells that cover a polygon, so that every point in it lies in one of them.
# Truth: it gives the cells whose centre lies in it: a zone of 68 m by 111 m has none at resolution 8, and one at 10, which
# leaves three corners out. Covering is polygon_to_cells_experimental(..., contain="overlap").
# Why it matters: a geofence or keep-out zone that is stored as cells is empty, with no error, and no robot is ever found in it.
# Test that the set is not empty and holds the zone's corners.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q h3==4.5.0
cat >ask.py <<'P'
import h3

corners = [(52.5, 13.4), (52.5, 13.401), (52.501, 13.401), (52.501, 13.4)]
zone = h3.LatLngPoly(corners)
cells = {size: set(h3.polygon_to_cells(zone, size)) for size in (8, 10)}
overlap = h3.polygon_to_cells_experimental(zone, 8, contain="overlap")
held = sum(h3.latlng_to_cell(*corner, 10) in cells[10] for corner in corners)
print(f"cells at resolution 8: {len(cells[8])}, by overlap: {len(overlap)}; corners that resolution 10 holds: {held} of 4")
P
seen=$(v/bin/python ask.py)
echo "h3 4.5.0: $seen"
[ "$seen" = "cells at resolution 8: 0, by overlap: 1; corners that resolution 10 holds: 1 of 4" ]
