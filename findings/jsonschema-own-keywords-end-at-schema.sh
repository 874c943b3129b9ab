#!/usr/bin/env bash
# Guess: a validator class that was extended with a keyword of one's own checks that keyword in the whole schema.
# Truth: below a subschema that has its own "$schema", jsonschema goes on with the stock class of that dialect; the added keyword
# is passed over there, and a replaced one has its stock meaning again.
# Why it matters: schemas of tools are put together from parts that bring "$schema" along. A keyword that was replaced to be safe
# or strict (a bounded pattern engine, say) holds only outside such parts; remove inner "$schema" first.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q jsonschema==4.26.0
cat >ask.py <<'P'
from jsonschema import Draft202012Validator, ValidationError, validators


def even(validator, wanted, instance, schema):
    if wanted and instance % 2:
        yield ValidationError("odd")


Even = validators.extend(Draft202012Validator, {"even": even})
part = {"even": True}
marked = {"$schema": "https://json-schema.org/draft/2020-12/schema", **part}
print(*(Even({"properties": {"n": inner}}).is_valid({"n": 1}) for inner in (part, marked)))
P
seen=$(v/bin/python ask.py)
echo "jsonschema 4.26.0, is 1 even without and with an inner \$schema: $seen"
[ "$seen" = "False True" ]
