#!/usr/bin/env bash
# Guess: a typed model of an OCSF event checks the ids that OCSF derives from each other, and refuses unknown fields.
# Truth: type_uid is not compared with class_uid and activity_id, severity not with severity_id, time not with time_dt; class_uid
# can be any number; an unknown field is dropped without an error.
# Why it matters: findings that are sent as OCSF pass the model and are refused, or filed under another class, by the lake that
# checks them. Derive type_uid = class_uid * 100 + activity_id yourself, and compare the fields' names.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q py-ocsf-models==0.10.0
cat >ask.py <<'P'
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

finding = DetectionFinding(
    metadata={"product": {"name": "p", "vendor_name": "v"}, "version": "1.4.0"},
    finding_info={"title": "t", "uid": "1"},
    class_uid=9999, activity_id=1, type_uid=200403, severity_id=5, severity="Low", time=1767225600, agent="a1",
)
ids = [int(value) for value in (finding.class_uid, finding.activity_id, finding.type_uid, finding.severity_id)]
print(ids, finding.severity, hasattr(finding, "agent"))
P
seen=$(v/bin/python ask.py)
echo "py-ocsf-models 0.10.0: $seen"
[ "$seen" = "[9999, 1, 200403, 5] Low False" ]
