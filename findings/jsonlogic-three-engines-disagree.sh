#!/usr/bin/env bash
# Guess: JsonLogic engines agree with the reference in JavaScript on missing values, on null and on numbers written as text.
# Truth: on a missing value "less than 5" is true in json-logic-js and datalogic-py and false in json-logic-qubit; null == 0 is
# true in datalogic-py alone; "01" == 1 is false in json-logic-qubit alone; -1 % 3 is 2 there and -1 in the others.
# Why it matters: feature flags and rules in JsonLogic give other answers after a change of engine. A limit on a field that is
# missing is the case that bites: guard it by a test that the field is there.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q datalogic-py==5.9.0 json-logic-qubit==0.9.1
npm install --silent --no-audit --no-fund json-logic-js@2.0.5 >/dev/null
cat >rules.json <<'J'
[{"<": [{"var": "missing"}, 5]}, {"==": [null, 0]}, {"==": ["01", 1]}, {"%": [-1, 3]}]
J
python=$(v/bin/python -c 'import json, datalogic_py, json_logic
rules = json.load(open("rules.json"))
print(json.dumps([datalogic_py.apply(json.dumps(rule), "{}") for rule in rules]), end=" ")
print(json.dumps([json_logic.jsonLogic(rule, {}) for rule in rules]))')
node=$(node -e 'const logic = require("json-logic-js");
console.log(JSON.stringify(require("./rules.json").map((rule) => logic.apply(rule, {}))))')
echo "datalogic-py 5.9.0, json-logic-qubit 0.9.1: $python"
echo "json-logic-js 2.0.5: $node"
[ "$python" = "[true, true, true, -1] [false, false, false, 2]" ] && [ "$node" = "[true,false,true,-1]" ]
