#!/usr/bin/env bash
# Guess: the text of a xacro property is put in as it is written, as for a serial number 007 or a firmware version 1.10.
# Truth: a text that Python can read as a number or as true or false becomes one, and its own text is put in: 007 is 7, 1.10 is
# 1.1, true is True, even in the midst of a name (arm_007 is arm_7). 12_34 and 0x10 stay.
# Why it matters: robots are told apart by names made this way; rules, containments and topics that name arm_007 then never match,
# and 1.10 and 1.1 are one version.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q xacro==2.1.1 PyYAML==6.0.4
cat >ask.py <<'P'
from xml.dom import minidom

import xacro


def name(value):
    model = f'<xacro:property name="id" value="{value}"/><link name="arm_${{id}}"/>'
    document = minidom.parseString(f'<robot xmlns:xacro="http://ros.org/wiki/xacro">{model}</robot>')
    xacro.process_doc(document)
    return document.getElementsByTagName("link")[0].getAttribute("name")


print(*map(name, ["007", "1.10", "true", "12_34", "0x10"]))
P
seen=$(v/bin/python ask.py)
echo "xacro 2.1.1, arm_ and 007, 1.10, true, 12_34, 0x10: $seen"
[ "$seen" = "arm_7 arm_1.1 arm_True arm_12_34 arm_0x10" ]
