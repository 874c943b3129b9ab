#!/usr/bin/env bash
# Guess: fastavro's writer holds the schema: it refuses a misspelt field, 1.9 or 2**40 for an `int`, "false" for a boolean.
# Truth: it writes null for the misspelt optional field, 1 for 1.9, "false" as true and 2**40 as it is, more than an Avro int
# holds; of ["double", "long"] 2**60 + 1 takes the first and comes back as another number.
# Why it matters: events on a bus with a schema registry count as checked, and wrong ones are found by consumers in other
# languages or never. writer(..., validator=True, strict=True) refuses all but the last.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q fastavro==1.13.1
cat >ask.py <<'P'
import io

import fastavro


def back(kind, data, **more):
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": [{"name": "x", "type": kind, **more}]})
    file = io.BytesIO()
    fastavro.schemaless_writer(file, schema, data)
    file.seek(0)
    return fastavro.schemaless_reader(file, schema)["x"]


print(
    f"misspelt {back(['null', 'string'], {'X': 'a'}, default=None)}",
    f"int of 1.9 {back('int', {'x': 1.9})}",
    f"int of 2**40 {back('int', {'x': 2**40})}",
    f'boolean of "false" {back("boolean", {"x": "false"})}',
    f"union of 2**60 + 1 off by one {back(['double', 'long'], {'x': 2**60 + 1}) == 2**60}",
    sep=", ",
)
P
seen=$(v/bin/python ask.py)
echo "fastavro 1.13.1: $seen"
[ "$seen" = 'misspelt None, int of 1.9 1, int of 2**40 1099511627776, boolean of "false" True, union of 2**60 + 1 off by one True' ]
