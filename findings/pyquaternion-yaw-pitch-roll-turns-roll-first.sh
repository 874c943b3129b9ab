#!/usr/bin/env bash
# Guess: yaw_pitch_roll of pyquaternion gives back 30, 20, 10 for a turn made of yaw 30, then pitch 20, then roll 10, as in ROS.
# Truth: it gives 28.5, 22.2, -1.1. Its angles belong to the other order: roll first, then pitch, then yaw, each about the
# turned axes. About one axis alone both agree, so a simple test passes.
# Why it matters: attitudes in logs and limits ("roll below 15 degrees") are wrong as soon as a robot tilts on two axes, and
# poses rebuilt from them point elsewhere. Calculate the angles from the rotation matrix.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pyquaternion==0.9.9 numpy==2.4.6
cat >ask.py <<'P'
import math

from pyquaternion import Quaternion


def angles(turn):
    return [round(float(math.degrees(angle)), 1) + 0.0 for angle in turn.yaw_pitch_roll]


yaw = Quaternion(axis=[0, 0, 1], degrees=30)
pitch = Quaternion(axis=[0, 1, 0], degrees=20)
roll = Quaternion(axis=[1, 0, 0], degrees=10)
print(f"yaw first {angles(yaw * pitch * roll)}, roll first {angles(roll * pitch * yaw)}, yaw alone {angles(yaw)}")
P
seen=$(v/bin/python ask.py)
echo "pyquaternion 0.9.9: $seen"
[ "$seen" = "yaw first [28.5, 22.2, -1.1], roll first [30.0, 20.0, 10.0], yaw alone [30.0, 0.0, 0.0]" ]
