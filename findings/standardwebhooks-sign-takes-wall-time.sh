#!/usr/bin/env bash
# Guess: Webhook.sign() of the Standard Webhooks library signs the instant of the datetime it is given.
# Truth: it replaces the time zone by UTC without converting, so noon at +02:00 and the same instant at 10:00 UTC get different
# signatures, and a naive local time is taken for UTC.
# Why it matters: a sender east or west of Greenwich that passes datetime.now() signs a timestamp hours away from the header it
# sends, and every receiver refuses it; we and our tests must pass UTC.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q standardwebhooks==1.1.0
cat >ask.py <<'P'
import base64
from datetime import datetime, timedelta, timezone
from standardwebhooks.webhooks import Webhook

hook = Webhook("whsec_" + base64.b64encode(bytes(24)).decode())
utc = datetime(2026, 11, 29, 10, tzinfo=timezone.utc)
east = utc.astimezone(timezone(timedelta(hours=2)))
shifted = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
print(utc == east, hook.sign("m", utc, "{}") == hook.sign("m", east, "{}"), hook.sign("m", shifted, "{}") == hook.sign("m", east, "{}"))
P
seen=$(v/bin/python ask.py)
echo "standardwebhooks 1.1.0: $seen"
[ "$seen" = "True False True" ]
