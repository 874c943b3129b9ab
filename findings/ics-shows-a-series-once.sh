#!/usr/bin/env bash
# Guess: the package ics expands RRULE on its timeline, or refuses a calendar that has one.
# Truth: it passes over RRULE: a weekly shift is one event, in its first week. The rule is kept and written out again, so that a
# round trip looks whole.
# Why it matters: "is somebody on call now" and "are we in the maintenance window" are answered by the first week for ever, with
# no error. Take recurring-ical-events or icalendar with a library for rules.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ics==0.7.3
cat >ask.py <<'P'
import arrow
from ics import Calendar

EVENT = """BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART:20260105T090000Z
DTEND:20260105T170000Z
RRULE:FREQ=WEEKLY
SUMMARY:on call
END:VEVENT"""
lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *EVENT.splitlines(), "END:VCALENDAR", ""]
calendar = Calendar("\r\n".join(lines))
days = ", ".join(f"{day} {len(list(calendar.timeline.on(arrow.get(2026, 1, day))))}" for day in (5, 12, 19))
print(f"{days}; RRULE lines written out {calendar.serialize().count('RRULE')}")
P
seen=$(v/bin/python -W ignore ask.py)
echo "ics 0.7.3, events on January: $seen"
[ "$seen" = "5 1, 12 0, 19 0; RRULE lines written out 1" ]
