#!/usr/bin/env bash
# Guess: OpenTelemetry's package of semantic conventions is where the current names of the GenAI attributes are to be taken from.
# Truth: every GEN_AI_ name in it is marked deprecated: most as "moved" to a repository of their own, some as replaced; the names
# stay importable and give no warning.
# Why it matters: what a receiver of traces reads (gen_ai.usage.input_tokens and so on) has to follow the new repository. A
# list of names of one's own is better than imports from this package.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q opentelemetry-semantic-conventions==0.66b2
cat >ask.py <<'P'
import inspect
import re

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names

documented = re.findall(r'^(GEN_AI_\w+): Final = ".*?"\n"""\n(\w+)', inspect.getsource(names), re.M)
moved = inspect.getsource(names).count("Moved to the [OpenTelemetry GenAI")
every = {name for name in dir(names) if name.startswith("GEN_AI_")}
print({name for name, _ in documented} == every, {first for _, first in documented}, moved > len(every) / 2)
P
seen=$(v/bin/python -W error ask.py)
echo "opentelemetry-semantic-conventions 0.66b2: $seen"
[ "$seen" = "True {'Deprecated'} True" ]
