#!/usr/bin/env bash
# Guess: a loader of dataclasses given {"enabled": "false"} for a bool refuses it, or makes it False; 1.9 for an int is refused.
# Truth: cattrs and mashumaro call bool("false"): True; 1.9 becomes 1. dataclass-wizard makes it False and refuses 1.9; dacite
# refuses both.
# Why it matters: settings from environment variables, forms and YAML with quotes switch on what they should switch off: a kill
# switch, dry run or auto-approval. Register a hook for bool, or take a strict loader.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q cattrs==26.2.1 mashumaro==3.23 dacite==1.9.2 dataclass-wizard==1.0.0
cat >ask.py <<'P'
import dataclasses

import cattrs
import dacite
import dataclass_wizard
from mashumaro.codecs import BasicDecoder


@dataclasses.dataclass
class Switch:
    value: bool


@dataclasses.dataclass
class Limit:
    value: int


LOADERS = {
    "cattrs": lambda kind, data: cattrs.structure(data, kind),
    "mashumaro": lambda kind, data: BasicDecoder(kind).decode(data),
    "dacite": dacite.from_dict,
    "dataclass-wizard": dataclass_wizard.fromdict,
}


def load(loader, kind, value):
    try:
        return loader(kind, {"value": value}).value
    except Exception:
        return "refused"


print(", ".join(f"{name} {load(one, Switch, 'false')} {load(one, Limit, 1.9)}" for name, one in LOADERS.items()))
P
seen=$(v/bin/python ask.py)
echo "cattrs 26.2.1, mashumaro 3.23, dacite 1.9.2, dataclass-wizard 1.0.0, for "false" and 1.9: $seen"
[ "$seen" = "cattrs True 1, mashumaro True 1, dacite refused refused, dataclass-wizard False refused" ]
