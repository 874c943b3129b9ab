#!/usr/bin/env bash
# Guess: hour=3 alone means once a day at 03:00 to each Python scheduler that takes a schedule by keywords.
# Truth: in huey, celery and arq it means each minute from 03:00 to 03:59, 60 runs: what is not given is every minute. In
# APScheduler fields below the given one are at their minimum: one run.
# Why it matters: a nightly cleanup, key rotation or report starts sixty times, side by side when one takes longer than a
# minute, and only after a move from APScheduler. Always write minute=0.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q huey==3.5.4 celery==5.7.0 arq==0.28.0 apscheduler==3.11.3
cat >ask.py <<'P'
from datetime import datetime, timedelta, timezone

from apscheduler.triggers.cron import CronTrigger
from arq.cron import cron
from celery.schedules import crontab as celery_crontab
from huey import crontab as huey_crontab

start = datetime(2026, 1, 1, tzinfo=timezone.utc)
end = start + timedelta(days=1)


async def clean(_):
    """What arq would run."""


def runs(following):
    count, moment = 0, following(start)
    while moment < end:
        count, moment = count + 1, following(moment)
    return count


def after_by_arq(moment):
    job = cron(clean, hour=3)
    job.calculate_next(moment)
    return job.next_run


def after_by_apscheduler(moment):
    return CronTrigger(hour=3, timezone=timezone.utc).get_next_fire_time(None, moment + timedelta(microseconds=1))


in_huey = huey_crontab(hour="3")
huey = sum(in_huey(start.replace(tzinfo=None) + timedelta(minutes=minute)) for minute in range(1440))
in_celery = celery_crontab(hour=3)
celery = len(in_celery.hour) * len(in_celery.minute)
print(f"huey {huey}, celery {celery}, arq {runs(after_by_arq)}, apscheduler {runs(after_by_apscheduler)}")
P
seen=$(v/bin/python ask.py)
echo "huey 3.5.4, celery 5.7.0, arq 0.28.0, apscheduler 3.11.3, runs a day with hour=3: $seen"
[ "$seen" = "huey 60, celery 60, arq 60, apscheduler 1" ]
