#!/usr/bin/env bash
# Guess: PolygonZone of supervision counts a box whose centre lies in the zone, and LineZone one whose centre has crossed.
# Truth: the zone asks for the middle of the lower edge alone: a box with its centre and 57 % of its area in the zone does not
# count. The line counts when all four corners are across.
# Why it matters: a person or a load that reaches into a robot's cell from below the picture is not in it, and large vehicles
# are counted late or never. Give triggering_anchors, and test with boxes at each edge.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q supervision==0.31.2 numpy==2.4.6
cat >ask.py <<'P'
import numpy
import supervision
from supervision import Detections, LineZone, Point, Position

SQUARE = numpy.array([[0, 0], [100, 0], [100, 100], [0, 100]])


def box(*edges):
    return Detections(xyxy=numpy.array([edges], float), class_id=numpy.array([0]), tracker_id=numpy.array([1]))


reaching = box(10, 60, 40, 130)
feet = supervision.PolygonZone(SQUARE).trigger(reaching)
centre = supervision.PolygonZone(SQUARE, triggering_anchors=[Position.CENTER]).trigger(reaching)
print(f"by default {feet[0]}, by the centre {centre[0]}", end="; ")
line = LineZone(Point(0, 100), Point(200, 100))
for top in (20, 95):
    line.trigger(box(10, top, 40, top + 60))
by_centre = line.in_count + line.out_count
line.trigger(box(10, 101, 40, 161))
print(f"crossings of the centre {by_centre}, of all corners {line.in_count + line.out_count}")
P
seen=$(v/bin/python -W ignore ask.py)
echo "supervision 0.31.2: $seen"
[ "$seen" = "by default False, by the centre True; crossings of the centre 0, of all corners 1" ]
