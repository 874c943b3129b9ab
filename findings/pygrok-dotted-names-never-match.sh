#!/usr/bin/env bash
# Guess: pygrok reads %{IP:source.ip} as Logstash and Elasticsearch do, and keeps both values where a name occurs twice.
# Truth: a name with a dot or brackets makes the whole pattern match nothing, with no error: the part is taken as literal text.
# Of two values of one name the last is kept; :int on 1.5 raises ValueError in match.
# Why it matters: patterns with names of ECS that were copied from a pipeline say "no match" for every line, which looks like
# clean logs, and "from %{IP:ip} to %{IP:ip}" names the wrong party.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pygrok==1.0.0 setuptools==80.9.0
cat >ask.py <<'P'
from pygrok import Grok

names = ("ip", "source.ip", "[source][ip]")
once = [Grok("from %{IP:" + name + "}").match("from 10.0.0.1") for name in names]
print(f"{once[0]} {once[1]} {once[2]}, twice {Grok('from %{IP:ip} to %{IP:ip}').match('from 10.0.0.1 to 10.0.0.2')}")
P
seen=$(v/bin/python -W ignore ask.py)
echo "pygrok 1.0.0: $seen"
[ "$seen" = "{'ip': '10.0.0.1'} None None, twice {'ip': '10.0.0.2'}" ]
