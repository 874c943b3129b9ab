#!/usr/bin/env bash
# Guess: an exception that a Celery task raises reaches the caller as its class, as long as both sides can import it.
# Truth: with the standard JSON serialiser Celery makes it anew from its args. A class whose __init__ wants other values than it
# hands to super().__init__ arrives as a bare Exception with the original's text; attributes and the cause are lost in any case.
# Why it matters: `except Denied` in the caller misses the denial. Let the class be made from its args alone, or look at the text.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q celery==5.7.0
cat >ask.py <<'P'
import celery


class Denied(Exception):
    def __init__(self, action, reason):
        super().__init__(f"{action}: {reason}")


class Plain(Exception):
    pass


app = celery.Celery("x", broker="memory://", backend="cache+memory://")


def received(error):
    app.backend.mark_as_failure("1", error)
    return app.AsyncResult("1").result


plain = Plain("no")
plain.rule = "r1"
arrived = received(plain)
print(type(received(Denied("pay", "too much"))).__name__, type(arrived).__name__, hasattr(arrived, "rule"))
P
seen=$(v/bin/python ask.py)
echo "celery 5.7.0: $seen"
[ "$seen" = "Exception Plain False" ]
