#!/usr/bin/env bash
# Guess: `timespan: 10m` of a Sigma correlation is a sliding window: 5 events within any 10 minutes match, in each backend.
# Truth: for Splunk it is `bin _time span=10m`, for ES|QL `date_trunc(10minutes, @timestamp)`: fixed buckets of the clock. Four
# events just before a boundary and four after it match nothing. Loki's query slides.
# Why it matters: a burst that is just large enough and lasts half the span is missed about half the time; a test whose events
# begin at 12:00:00 never shows it. Halve the threshold, or run overlapping searches.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma-backend-splunk==2.1.0 pysigma-backend-elasticsearch==2.1.1 pysigma-backend-loki==0.15.1 pysigma==1.5.1
cat >ask.py <<'P'
import re

from sigma.backends.elasticsearch import ESQLBackend
from sigma.backends.loki import LogQLBackend
from sigma.backends.splunk import SplunkBackend
from sigma.collection import SigmaCollection

logins = {"title": "l", "name": "l", "logsource": {"product": "x"}, "detection": {"s": {"f": "a"}, "condition": "s"}}
many = {"type": "event_count", "rules": ["l"], "group-by": ["host"], "timespan": "10m", "condition": {"gte": 5}}


def query(backend):
    return backend().convert(SigmaCollection.from_dicts([logins, {"title": "many", "correlation": many}]))[-1]


splunk = re.search(r"bin _time span=\w+", query(SplunkBackend))[0]
elastic = re.search(r"date_trunc\(.*?\)", query(ESQLBackend))[0]
loki = re.search(r"(count_over_time)\(.* (\[10m\])", query(LogQLBackend))
print(splunk, elastic, " ".join(loki.groups()), sep=" | ")
P
seen=$(v/bin/python ask.py)
echo "pySigma's backends splunk 2.1.0, elasticsearch 2.1.1, loki 0.15.1: $seen"
[ "$seen" = "bin _time span=10m | date_trunc(10minutes, @timestamp) | count_over_time [10m]" ]
