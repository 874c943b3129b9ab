#!/usr/bin/env bash
# Guess: inverse_kinematics of ikpy raises, or says so, when no pose of the arm reaches the target.
# Truth: it gives angles like any others: where its optimiser stopped. For an arm of 1 m and a target at 5 m, the hand stays at 1 m, 4 m
# away, with no error and no warning.
# Why it matters: a plan goes on, and a gripper closes, in the wrong place. Put the angles through forward_kinematics and compare with
# the target before the arm moves.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ikpy==4.2.1
cat >ask.py <<'P'
import warnings

from ikpy.chain import Chain
from ikpy.link import OriginLink, URDFLink


def link(name, length):
    return URDFLink(name, [length, 0, 0], [0, 0, 0], rotation=[0, 0, 1], bounds=(-1, 1))


warnings.simplefilter("error")
links = [OriginLink(), link("shoulder", 0), link("elbow", 0.5), link("hand", 0.5)]
arm = Chain(links, active_links_mask=[False, True, True, False])
for target in ([0.8, 0.5, 0], [5, 0, 0]):
    x, y, _ = arm.forward_kinematics(arm.inverse_kinematics(target))[:3, 3]
    print(f"{((x - target[0]) ** 2 + (y - target[1]) ** 2) ** 0.5:.2f} m")
P
seen=$(v/bin/python ask.py)
echo "ikpy 4.2.1, how far the hand is from a target in reach and from one out of reach:" $seen
[ "$seen" = "0.00 m
4.00 m" ]
