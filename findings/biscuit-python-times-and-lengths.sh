#!/usr/bin/env bash
# Guess: biscuit-python takes any aware datetime as a fact, and length() of a text counts characters.
# Truth: it takes datetime.timezone.utc alone and raises ValueError for the same instant with another offset; length() counts
# bytes, so that three letters with two accents have length 5.
# Why it matters: expiry dates that come from a calendar or a database with a zone have to be converted first, and limits on the
# length of names are stricter for people whose names are not ASCII.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q biscuit-python==0.4.0
cat >ask.py <<'P'
from datetime import datetime, timedelta, timezone

from biscuit_auth import AuthorizerBuilder

utc = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
taken = []
for moment in (utc, utc.astimezone(timezone(timedelta(hours=2)))):
    try:
        AuthorizerBuilder("until({moment});", {"moment": moment})
        taken.append("taken")
    except ValueError:
        taken.append("ValueError")
policy = AuthorizerBuilder('name("\u00e9t\u00e9"); allow if name($n), $n.length() == 5;')
print(taken, policy.build_unauthenticated().authorize())
P
seen=$(v/bin/python ask.py)
echo "biscuit-python 0.4.0: $seen"
[ "$seen" = "['taken', 'ValueError'] 0" ]
