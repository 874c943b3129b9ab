#!/usr/bin/env bash
# Guess: SQLite must not carry a connection across fork(), so a child that opens a connection of its own is safe.
# Truth: if the parent had the file open at the fork, the child's own connection takes no lock on it. When the parent closes, it
# deletes the log (WAL) under the child; the child's later commits succeed and nobody else ever sees them.
# Why it matters: a pre-forking server that opens the event store before the fork loses events without an error. Close every
# connection before the fork, or start workers by spawn.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q apsw==3.54.1.0
cat >ask.py <<'P'
import os

import apsw

parent = apsw.Connection("s.db")
for statement in ("pragma journal_mode = wal", "create table t (x)", "insert into t values ('parent')"):
    parent.execute(statement).fetchall()
to_child, to_parent = os.pipe(), os.pipe()
if os.fork() == 0:
    own = apsw.Connection("s.db")
    own.execute("select * from t").fetchall()
    os.write(to_parent[1], b".")
    os.read(to_child[0], 1)
    own.execute("insert into t values ('child')")
    os.write(to_parent[1], str([x for (x,) in own.execute("select x from t")]).encode())
    os._exit(0)
os.read(to_parent[0], 1)
parent.close()
log_is_there = os.path.exists("s.db-wal")
os.write(to_child[1], b".")
child_sees = os.read(to_parent[0], 100).decode()
os.wait()
others_see = [x for (x,) in apsw.Connection("s.db").execute("select x from t")]
print(apsw.sqlite_lib_version(), log_is_there, child_sees, others_see)
P
seen=$(timeout 30 v/bin/python ask.py)
echo "apsw 3.54.1.0, SQLite, log after the parent's close, rows the child sees, rows others see: $seen"
[ "$seen" = "3.54.1 False ['parent', 'child'] ['parent']" ]
