#!/usr/bin/env bash
# Guess: the EQL backend of pySigma writes the correlation that the rule asks for, or raises for what EQL cannot say.
# Truth: value_count of a field becomes `by user with runs=3`: three events of the same user, the opposite of three users. `lt:
# 3`, `gt: 3` and `eq: 3` all become runs=3; temporal becomes `sample`, and its time span is gone.
# Why it matters: password spraying over many users raises no alarm, one user's typing errors do, and "fewer than 3 heartbeats"
# fires on 3. Read every converted correlation, and test it by events that must not match.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma-backend-elasticsearch==2.1.1 pysigma==1.5.1
cat >ask.py <<'P'
from sigma.backends.elasticsearch import EqlBackend
from sigma.collection import SigmaCollection


def rule(name, value):
    return {"title": name, "name": name, "logsource": {"product": "x"}, "detection": {"s": {"f": value}, "condition": "s"}}


def query(kind, names, condition):
    correlation = {"type": kind, "rules": names, "group-by": ["host"], "timespan": "10m", "condition": condition}
    rules = [rule("one", "a"), rule("two", "c")]
    collection = SigmaCollection.from_dicts([*rules, {"title": "many", "correlation": correlation}])
    return " ".join(EqlBackend().convert(collection)[-1].split()).removeprefix("sequence by host with maxspan=10m ")


print(
    "value_count gte: " + query("value_count", ["one"], {"gte": 3, "field": "user"}),
    "value_count lt: " + query("value_count", ["one"], {"lt": 3, "field": "user"}),
    "temporal: " + query("temporal", ["one", "two"], {"gte": 2}),
    sep=" | ",
)
P
seen=$(v/bin/python ask.py)
echo "pysigma-backend-elasticsearch 2.1.1: $seen"
[ "$seen" = 'value_count gte: [any where f:"a"] by user with runs=3 | value_count lt: [any where f:"a"] by user with runs=3 | temporal: sample by host [any where f:"a"] [any where f:"c"]' ]
