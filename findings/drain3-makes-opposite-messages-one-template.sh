#!/usr/bin/env bash
# Guess: Drain3 keeps words and makes numbers and ids variable: "door is now opened" and "door is now closed" are two templates.
# Truth: lines of equal length whose tokens agree to 40 % are one cluster, whatever the other words are: "login of user <*>"
# stands for accepted and refused. Its id stays, its text changes with the second line.
# Why it matters: counts by template show no new kind of line when failures begin, and a rule on a template's text stops
# matching on its own. Raise drain_sim_th, or mask numbers and ids and set it near 1.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q drain3==0.9.11
cat >ask.py <<'P'
import logging

from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig

logging.disable(logging.CRITICAL)
miner = TemplateMiner(config=TemplateMinerConfig())
lines = ("door is now opened", "door is now closed", "login of user accepted", "login of user refused")
results = [miner.add_log_message(line) for line in lines]
print(", ".join(f"{result['cluster_id']} {result['template_mined']}" for result in results))
P
seen=$(v/bin/python ask.py)
echo "drain3 0.9.11: $seen"
[ "$seen" = "1 door is now opened, 1 door is now <*>, 2 login of user accepted, 2 login of user <*>" ]
