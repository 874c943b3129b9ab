#!/usr/bin/env bash
# Guess: ecs-logging writes every log line; an `extra` that collides with a field of ECS replaces it or goes under another name.
# Truth: the line is not written at all: logging prints a traceback to stderr and goes on. extra={"log": "x"}, {"log.level":
# "x"}, {"@timestamp": "x"} and {"a": 1, "a.b": 2} do so; {"service": "x"} where ECS wants an object is written as it is.
# Why it matters: of a fault with the wrong key only stderr knows: the error line that an alert waits for never reaches the
# index. Put own keys below `labels`, and make logging.raiseExceptions loud in tests.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ecs-logging==2.3.0
cat >ask.py <<'P'
import io
import logging

import ecs_logging

logging.raiseExceptions = False


def written(**extra):
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(ecs_logging.StdlibFormatter())
    log = logging.Logger("robot")
    log.addHandler(handler)
    log.error("arm is stuck", extra=extra)
    return "a line" if out.getvalue() else "nothing"


extras = {
    "log": {"log": "x"},
    "log.level": {"log.level": "x"},
    "@timestamp": {"@timestamp": "x"},
    "a and a.b": {"a": 1, "a.b": 2},
    "service": {"service": "x"},
}
print(", ".join(f"{name} {written(**extra)}" for name, extra in extras.items()))
P
seen=$(v/bin/python ask.py)
echo "ecs-logging 2.3.0, of each line with extra what was written: $seen"
[ "$seen" = "log nothing, log.level nothing, @timestamp nothing, a and a.b nothing, service a line" ]
