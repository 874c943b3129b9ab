#!/usr/bin/env bash
# Guess: d["a"] = 1 on a SqliteDict is kept in the file, at the latest when d.close() returns or its `with` block ends.
# Truth: without autocommit=True both drop all that was set since the last commit(), with no word. And d["l"].append(1) changes
# a copy: it is not stored, after a commit either.
# Why it matters: offsets, last seen ids and states of agents start from an old value after an orderly stop, and work is done
# twice. Use autocommit=True or commit(), and set a changed value again.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q sqlitedict==2.1.0
cat >ask.py <<'P'
import logging

from sqlitedict import SqliteDict

logging.disable(logging.CRITICAL)
store = SqliteDict("closed.db")
store["a"] = 1
store.close()
closed = dict(SqliteDict("closed.db"))
with SqliteDict("with.db") as store:
    store["a"] = 1
inside = dict(SqliteDict("with.db"))
with SqliteDict("list.db") as store:
    store["l"] = []
    store.commit()
    store["l"].append(1)
    store.commit()
print(f"after close {closed}, after with {inside}, after an append to a stored list {SqliteDict('list.db')['l']}")
P
seen=$(v/bin/python ask.py)
echo "sqlitedict 2.1.0, what the next open sees: $seen"
[ "$seen" = "after close {}, after with {}, after an append to a stored list []" ]
