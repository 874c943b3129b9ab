#!/usr/bin/env bash
# Guess: UniqueAckQ of persist-queue keeps equal items from waiting twice; once one was acknowledged, an equal one can be put again.
# Truth: an acknowledged item stays in the table, and an equal one that is put later is dropped without an error, until the acked
# data are cleared. The queue is simply empty.
# Why it matters: an outbox or a job queue of this kind sends "agent-7 is contained" once and never again, however often it happens.
# Put a time or an id in the item.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q persist-queue==1.1.0
cat >ask.py <<'P'
from persistqueue import UniqueAckQ

queue = UniqueAckQ("store")
queue.put("agent-7 is contained")
queue.ack(queue.get())
queue.put("agent-7 is contained")
dropped = queue.size
queue.clear_acked_data(keep_latest=0, max_delete=1000)
queue.put("agent-7 is contained")
print(dropped, queue.size)
P
seen=$(v/bin/python ask.py)
echo "persist-queue 1.1.0, items after the second put, and after one more when acked data were cleared: $seen"
[ "$seen" = "0 1" ]
