#!/usr/bin/env bash
# Guess: where("status") != "closed" of TinyDB finds all documents whose status is not "closed", those without a status as well.
# Truth: a condition on a missing field is false, whatever it asks: != leaves them out, ~(== ) finds them. And == True finds 1.
# Why it matters: tickets, devices and tasks that an older version wrote without the field are in neither list, open or closed,
# and nobody works on them. Write ~(where("status") == "closed").
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q tinydb==4.9.0
cat >ask.py <<'P'
from tinydb import TinyDB, where
from tinydb.storages import MemoryStorage

tasks = TinyDB(storage=MemoryStorage)
tasks.insert_multiple([{"id": 1, "status": "open"}, {"id": 2, "status": "closed"}, {"id": 3}])


def found(query):
    return [task["id"] for task in tasks.search(query)]


unequal, negated = found(where("status") != "closed"), found(~(where("status") == "closed"))
tasks.insert({"id": 4, "status": "closed", "flag": 1})
print(f"!= closed {unequal}, not == closed {negated}, flag == True {found(where('flag') == True)}")  # noqa: E712
P
seen=$(v/bin/python ask.py)
echo "tinydb 4.9.0, ids found: $seen"
[ "$seen" = "!= closed [1], not == closed [1, 3], flag == True [4]" ]
