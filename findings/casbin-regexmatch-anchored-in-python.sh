#!/usr/bin/env bash
# Guess: one Casbin model and policy gives the same answers in every Casbin implementation.
# Truth: regexMatch in Casbin for Python is anchored at the start of the value, in Casbin for Node.js it searches anywhere,
# so the pattern "orders" lets /api/orders through in one and not in the other.
# Why it matters: teams that move Casbin policies to us, or share one policy file between a Node gateway and Python agents,
# must know which of the two meanings a pattern was written for. Our own `matches` is anchored at the start.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q casbin==1.43.0
npm install --silent --no-audit --no-fund casbin@5.51.1 >/dev/null
cat >model.conf <<'M'
[request_definition]
r = sub, obj
[policy_definition]
p = sub, obj
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && regexMatch(r.obj, p.obj)
M
echo 'p, alice, orders' >policy.csv
python=$(v/bin/python -c 'import casbin; e = casbin.Enforcer("model.conf", "policy.csv")
print(e.enforce("alice", "/api/orders"), e.enforce("alice", "orders/7"))')
node=$(node -e 'const {newEnforcer} = require("casbin"); newEnforcer("model.conf", "policy.csv").then(async e =>
console.log(await e.enforce("alice", "/api/orders"), await e.enforce("alice", "orders/7")))')
echo "casbin 1.43.0 (Python): $python"
echo "casbin 5.51.1 (Node.js): $node"
[ "$python" = "False True" ] && [ "$node" = "true true" ]
