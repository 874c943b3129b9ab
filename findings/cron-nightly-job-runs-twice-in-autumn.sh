#!/usr/bin/env bash
# Guess: a job at 02:30 each day runs once on each day in Europe/Berlin, as cron does, also when the clocks change.
# Truth: in October, when 02:30 comes twice, croniter and APScheduler run it twice and cronsim once. In March, when it does not
# come at all, cronsim and croniter run it at 03:00 and APScheduler at 03:30.
# Why it matters: a nightly charge, key rotation or patrol happens twice once a year, and only where the scheduler was given a
# zone. Keep such jobs out of 02:00 to 03:00, or schedule in UTC.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q apscheduler==3.11.3 croniter==7.0.0 cronsim==2.8 tzdata==2026.6
cat >ask.py <<'P'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

BERLIN, LINE = ZoneInfo("Europe/Berlin"), "30 2 * * *"


def by_apscheduler(start):
    trigger, last, now = CronTrigger.from_crontab(LINE, timezone=BERLIN), None, start
    while True:
        last = trigger.get_next_fire_time(last, now)
        now = last.astimezone(timezone.utc) + timedelta(seconds=1)
        yield last


def by_croniter(start):
    times = croniter(LINE, start)
    while True:
        yield times.get_next(datetime)


def by_cronsim(start):
    yield from CronSim(LINE, start)


def night(times, start):
    end = start.astimezone(timezone.utc) + timedelta(days=1)
    seen = []
    for moment in times(start):
        if moment.astimezone(timezone.utc) > end:
            return " ".join(seen)
        seen.append(f"{moment.astimezone(timezone.utc).astimezone(BERLIN):%H:%M}")


for name, day, end in (("October", datetime(2026, 10, 24, 12, tzinfo=BERLIN), "; "), ("March", datetime(2026, 3, 28, 12, tzinfo=BERLIN), "\n")):
    print(f"{name}: " + ", ".join(night(times, day) for times in (by_apscheduler, by_croniter, by_cronsim)), end=end)
P
seen=$(v/bin/python ask.py)
echo "apscheduler 3.11.3, croniter 7.0.0, cronsim 2.8, times in Berlin: $seen"
[ "$seen" = "October: 02:30 02:30, 02:30 02:30, 02:30; March: 03:30, 03:00, 03:00" ]
