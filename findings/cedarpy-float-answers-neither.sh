#!/usr/bin/env bash
# Guess: a float in the context of a Cedar request raises an error, or only makes conditions on that attribute fail.
# Truth: cedarpy answers the whole request with a third decision, NoDecision, even when no policy reads the attribute, and
# 5.0 is as bad as 5.5; the reason stands in the diagnostics only.
# Why it matters: Python amounts, scores and durations are floats. Code that asks "is it Deny?" takes NoDecision for a yes,
# and who compares engines side by side has to map three answers to two.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q cedarpy==4.12.2
cat >ask.py <<'P'
import cedarpy

POLICY = 'permit(principal, action, resource) when { context.level < 10 };'


def ask(context):
    request = {"principal": 'User::"a"', "action": 'Action::"read"', "resource": 'Doc::"1"', "context": context}
    answer = cedarpy.is_authorized(request, POLICY, [])
    return answer.decision.value, bool(answer.diagnostics.errors)


print(ask({"level": 5}), ask({"level": 5, "cost": 0.5}), ask({"level": 5.0}))
P
seen=$(v/bin/python ask.py)
echo "cedarpy 4.12.2: $seen"
[ "$seen" = "('Allow', False) ('NoDecision', True) ('NoDecision', True)" ]
