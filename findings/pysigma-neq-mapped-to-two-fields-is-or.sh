#!/usr/bin/env bash
# Guess: in Sigma, `f|neq: 2` means what `not` on `f: 2` means, also after a pipeline has mapped f to two field names.
# Truth: the two part ways in pySigma: `not` becomes "neither field is 2", `neq` becomes "one of the two fields is not 2".
# Why it matters: a field that is mapped to two names, of which an event has one, makes a neq true of nearly every event. Rules
# that pass their tests without a pipeline then fire on all. Write `not` with a selection where a field may be mapped.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pysigma==2.0.1
cat >ask.py <<'P'
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

PIPELINE = "{name: p, priority: 1, transformations: [{id: m, type: field_name_mapping, mapping: {f: [a, b]}}]}"


def shape(node):
    name = type(node).__name__.removeprefix("Condition")
    return f"{name}({', '.join(map(shape, node.args))})" if hasattr(node, "args") else f"{node.field}={node.value}"


def tree(field, condition):
    detection = {"s": {field: 2}, "condition": condition}
    rule = SigmaRule.from_dict({"title": "t", "logsource": {"product": "x"}, "detection": detection})
    ProcessingPipeline.from_yaml(PIPELINE).apply(rule)
    return shape(rule.detection.parsed_condition[0].parsed)


print(tree("f", "not s"), tree("f|neq", "s"))
P
seen=$(v/bin/python ask.py)
echo "pysigma 2.0.1: $seen"
[ "$seen" = "NOT(OR(a=2, b=2)) OR(NOT(a=2), NOT(b=2))" ]
