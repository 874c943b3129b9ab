#!/usr/bin/env bash
# Guess: recurring-ical-events leaves out an occurrence that was cancelled (an exception of the series with STATUS:CANCELLED).
# Truth: it lists it like the others, at its time; only its STATUS says so. EXDATE is what takes an occurrence out.
# Why it matters: calendars cancel in both ways. Who asks which shift or maintenance window is on now gets one that was called
# off: pages go to a person who is not on call, alerts are silenced for work that does not happen. Filter by STATUS.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q recurring-ical-events==3.8.2 icalendar==7.3.2
cat >ask.py <<'P'
from icalendar import Calendar
from recurring_ical_events import of

HEAD = ["UID:1", "DTSTAMP:20260101T000000Z", "DTEND:20260105T170000Z", "SUMMARY:on call"]
SERIES = [*HEAD, "DTSTART:20260105T090000Z", "RRULE:FREQ=DAILY;COUNT=3"]
OFF = ["UID:1", "DTSTAMP:20260101T000000Z", "RECURRENCE-ID:20260106T090000Z", "DTSTART:20260106T090000Z"]
OFF += ["DTEND:20260106T170000Z", "STATUS:CANCELLED"]


def shifts(*events):
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x"]
    for event in events:
        lines += ["BEGIN:VEVENT", *event, "END:VEVENT"]
    calendar = Calendar.from_ical("\r\n".join([*lines, "END:VCALENDAR", ""]))
    found = of(calendar).between((2026, 1, 1), (2026, 2, 1))
    return ", ".join(f"{event['DTSTART'].dt:%d} {event.get('STATUS', '')}".strip() for event in found)


print(f"{shifts(SERIES, OFF)}; by EXDATE {shifts([*SERIES, 'EXDATE:20260106T090000Z'])}")
P
seen=$(v/bin/python ask.py)
echo "recurring-ical-events 3.8.2, shifts of January 2026: $seen"
[ "$seen" = "05, 06 CANCELLED, 07; by EXDATE 05, 07" ]
