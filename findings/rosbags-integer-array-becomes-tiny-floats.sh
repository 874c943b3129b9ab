#!/usr/bin/env bash
# Guess: rosbags converts a NumPy array of integers for a float64[] field, or refuses it, as it refuses float32.
# Truth: an array whose items have the same size is written bit by bit: the integers 1 and 2 come back as 5e-324 and 1e-323, and
# so does a big-endian float array as other numbers.
# Why it matters: a recorder that builds messages from whole numbers (counts, millimetres) writes zeros in all but name, without
# an error. Convert by astype of the field's type first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q rosbags==0.11.9 numpy==2.4.6
cat >ask.py <<'P'
import numpy as np
from rosbags.typesys import Stores, get_typestore

store = get_typestore(Stores.ROS2_HUMBLE)
Array, Layout = (store.types["std_msgs/msg/" + name] for name in ("Float64MultiArray", "MultiArrayLayout"))


def back(data):
    message = Array(layout=Layout(dim=[], data_offset=0), data=data)
    try:
        return store.deserialize_cdr(store.serialize_cdr(message, Array.__msgtype__), Array.__msgtype__).data.tolist()
    except ValueError:
        return "refused"


print(back(np.array([1.0, 2.0])), back(np.array([1, 2], dtype="int64")), back(np.array([1, 2], dtype="float32")))
P
seen=$(v/bin/python ask.py)
echo "rosbags 0.11.9: $seen"
[ "$seen" = "[1.0, 2.0] [5e-324, 1e-323] refused" ]
