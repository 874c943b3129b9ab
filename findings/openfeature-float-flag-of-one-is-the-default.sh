#!/usr/bin/env bash
# Guess: a float flag of OpenFeature whose variant is 1 gives 1.0, and an integer flag refuses True.
# Truth: the Python SDK asks for the very type float: 1 is a mismatch, and the caller gets the default, with no exception. True passes
# as an integer, since a bool is an int in Python.
# Why it matters: flags come from JSON or YAML, where 0.8 is a float and 1 is not: a ramp 0.2, 0.5, 0.8, 1 falls back to the default on
# its last step. Ask for the details and look at the error code, or write 1.0 where the format keeps it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q openfeature-sdk==0.10.0
cat >ask.py <<'P'
import json

from openfeature import api
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

flags = json.loads('{"share": {"now": 1}, "was": {"now": 0.8}, "retries": {"now": true}}')
api.set_provider(InMemoryProvider({name: InMemoryFlag("now", variants) for name, variants in flags.items()}))
client = api.get_client()
share = client.get_float_details("share", 0.2)
print(client.get_float_value("was", 0.2), share.value, share.error_code.value, client.get_integer_value("retries", 3))
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "openfeature-sdk 0.10.0, 0.8 and 1 as float (default 0.2), true as integer (default 3): $seen"
[ "$seen" = "0.8 0.2 TYPE_MISMATCH True" ]
