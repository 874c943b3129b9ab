#!/usr/bin/env bash
# Guess: two rules with one id or one name in a collection are an error, at the latest when a correlation refers to them.
# Truth: pySigma takes both without an error, also with collect_errors; the correlation counts the one that was read last.
# Why it matters: a rule folder that holds an old copy of a rule makes correlations count the wrong one, depending on the order
# of the files. Check ids and names for doubles before loading.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma==2.0.1
cat >ask.py <<'P'
from sigma.collection import SigmaCollection

ID = "5013198e-5a5a-4a11-a7b3-4f1a2f0cb001"


def rule(title):
    detection = {"s": {"f": 1}, "condition": "s"}
    return {"title": title, "id": ID, "name": "login", "logsource": {"product": "x"}, "detection": detection}


def counted(reference, *titles):
    correlation = {"type": "event_count", "rules": [reference], "timespan": "1m", "condition": {"gte": 2}}
    rules = [rule(title) for title in titles] + [{"title": "c", "correlation": correlation}]
    collection = SigmaCollection.from_dicts(rules, collect_errors=True)
    collection.resolve_rule_references()
    return collection.rules[-1].rules[0].rule.title, len(collection.errors)


print(counted("login", "old", "new"), counted("login", "new", "old"), counted(ID, "old", "new"))
P
seen=$(v/bin/python ask.py)
echo "pysigma 2.0.1: $seen"
[ "$seen" = "('new', 0) ('old', 0) ('new', 0)" ]
