#!/usr/bin/env bash
# Guess: strings of Sigma match without regard to case, as its specification says, also in pySigma's SQL for SQLite.
# Truth: only with a wildcard, which becomes LIKE. A plain value becomes `=`, which minds the case: `whoami` does not find
# "Whoami", `whoam*` does. Loki's backend folds case in both.
# Why it matters: a rule that fires in one place is silent in another, and names of commands and users are what attackers write
# in odd case. Put COLLATE NOCASE on the columns.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma-backend-sqlite==2.1.1 pysigma==2.0.1
cat >ask.py <<'P'
import sqlite3

from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

base = sqlite3.connect(":memory:")
base.execute("CREATE TABLE logs (command)")
base.execute("INSERT INTO logs VALUES ('Whoami')")


def found(value):
    detection = {"s": {"command": value}, "condition": "s"}
    rules = SigmaCollection.from_dicts([{"title": "t", "logsource": {"product": "x"}, "detection": detection}])
    [query] = sqliteBackend().convert(rules)
    return len(base.execute(query.replace("<TABLE_NAME>", "logs")).fetchall())


print(", ".join(f"{value} {found(value)}" for value in ("whoami", "whoam*", "Whoami")))
P
seen=$(v/bin/python ask.py)
echo "pysigma-backend-sqlite 2.1.1, rows found of one: $seen"
[ "$seen" = "whoami 0, whoam* 1, Whoami 1" ]
