#!/usr/bin/env bash
# Guess: in UPER, asn1tools refuses 9 for INTEGER (0..7): three bits have no room for it.
# Truth: it encodes 9 as 1 and 8 as 0, with no error, and decodes them so; PER too, whereas DER and JER carry 9 on. Constraints are
# checked only with check_constraints=True on each encode.
# Why it matters: messages between vehicles and roadside (CAM, DENM, SPAT) are UPER: a speed, lane or countdown just beyond its range
# arrives as a small, believable value. Give check_constraints=True.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q asn1tools==0.169.0
cat >ask.py <<'P'
import asn1tools

TEXT = "M DEFINITIONS AUTOMATIC TAGS ::= BEGIN S ::= SEQUENCE { lane INTEGER (0..7) } END"
for codec in ("uper", "per", "der", "jer"):
    module = asn1tools.compile_string(TEXT, codec)
    print(codec, *(module.decode("S", module.encode("S", {"lane": lane}))["lane"] for lane in (9, 8)))
    try:
        module.encode("S", {"lane": 9}, check_constraints=True)
    except asn1tools.ConstraintsError:
        continue
    raise SystemExit("check_constraints=True let 9 through")
P
seen=$(v/bin/python ask.py)
echo "asn1tools 0.169.0, 9 and 8 in INTEGER (0..7):" $seen
[ "$seen" = "uper 1 0
per 1 0
der 9 8
jer 9 8" ]
