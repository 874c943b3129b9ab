#!/usr/bin/env bash
# Guess: a rule that pySigma converts with ecs_windows comes out with names of ECS, or with a warning that it did not fit.
# Truth: a rule whose logsource names no product, or another one, keeps its own field names, with no error and none in `errors`.
# For a Windows rule without a category the same field gets a third name.
# Why it matters: such a query is valid and never matches: the index has no CommandLine. Hundreds of rules look deployed of
# which some see nothing. Compare the field names of each query with the index's mapping.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma-backend-elasticsearch==2.1.1 pysigma==1.5.1
cat >ask.py <<'P'
from sigma.backends.elasticsearch import LuceneBackend
from sigma.collection import SigmaCollection
from sigma.pipelines.elasticsearch.windows import ecs_windows

errors = 0


def name(**logsource):
    global errors
    detection = {"s": {"CommandLine": "x"}, "condition": "s"}
    rules = SigmaCollection.from_dicts([{"title": "t", "logsource": logsource, "detection": detection}])
    backend = LuceneBackend(ecs_windows())
    [query] = backend.convert(rules)
    errors += len(rules.errors) + len(backend.errors)
    return f"{' '.join(logsource.values())} {query.split(':')[0]}"


names = [name(product="windows", category="process_creation"), name(product="windows"), name(category="process_creation")]
print(", ".join(names), f"errors {errors}", sep="; ")
P
seen=$(v/bin/python ask.py)
echo "pysigma-backend-elasticsearch 2.1.1, names of CommandLine: $seen"
[ "$seen" = "windows process_creation process.command_line, windows winlog.event_data.CommandLine, process_creation CommandLine; errors 0" ]
