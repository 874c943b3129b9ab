#!/usr/bin/env bash
# Guess: urdf_parser_py fills in what the URDF format says of absent parts: axis 1 0 0, multiplier 1 of a joint that mimics another.
# Truth: axis and multiplier are None; lower and upper of a limit are 0, as the format says of these.
# Why it matters: such files are valid and common. A mirror of the arm that multiplies by them fails, and one that passes over what is None
# leaves the second finger of a gripper where it is. Fill in the defaults by yourself.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q urdf-parser-py==0.0.4
cat >arm.urdf <<'U'
<robot name="arm"><link name="a"/><link name="b"/><link name="c"/>
<joint name="j" type="revolute"><parent link="a"/><child link="b"/><limit effort="1" velocity="1"/></joint>
<joint name="k" type="revolute"><parent link="b"/><child link="c"/><limit effort="1" velocity="1"/><mimic joint="j"/></joint>
</robot>
U
cat >ask.py <<'P'
from urdf_parser_py.urdf import URDF

first, second = URDF.from_xml_file("arm.urdf").joints
print(first.axis, second.mimic.multiplier, first.limit.lower, first.limit.upper)
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "urdf-parser-py 0.0.4, axis, multiplier and limits: $seen"
[ "$seen" = "None None 0 0" ]
