#!/usr/bin/env bash
# Guess: five fields of cron mean the same days to APScheduler's from_crontab, croniter and cronsim.
# Truth: `0 0 * * 1` is Tuesday to APScheduler (0 is its Monday). With both day fields set it asks for both, croniter for
# either, cronsim for both only where one begins with a star: `0 0 */2 * 1` has three first days.
# Why it matters: a maintenance window or a patrol moves by a day, or comes many times as often, under another scheduler. Write
# days as names, never both day fields, and print the next five times before the switch.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q apscheduler==3.11.3 croniter==7.0.0 cronsim==2.8
cat >ask.py <<'P'
from datetime import datetime, timedelta, timezone

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

start = datetime(2026, 1, 1, tzinfo=timezone.utc)
just_before = start - timedelta(seconds=1)


def first_days(line):
    yield CronTrigger.from_crontab(line, timezone=timezone.utc).get_next_fire_time(None, start)
    yield croniter(line, just_before).get_next(datetime)
    yield next(CronSim(line, just_before))


print("; ".join(", ".join(day.strftime("%a %d") for day in first_days(line)) for line in ("0 0 * * 1", "0 0 */2 * 1")))
P
seen=$(v/bin/python ask.py)
echo "apscheduler 3.11.3, croniter 7.0.0, cronsim 2.8, first days of January 2026: $seen"
[ "$seen" = "Tue 06, Mon 05, Mon 05; Tue 13, Thu 01, Mon 05" ]
