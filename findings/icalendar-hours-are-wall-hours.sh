#!/usr/bin/env bash
# Guess: DURATION:PT8H of a night shift lasts eight real hours in the night when the clocks change, as RFC 5545 says for times
# (only P1D follows the wall clock).
# Truth: icalendar and recurring-ical-events add it to the wall time: the shift from 23:00 ends at 07:00 after seven hours in
# spring, PT24H lasts 23, and a shift of one hour from 02:30 lasts none at all.
# Why it matters: who is on call by such a calendar is an hour off twice a year, and a look-up inside the missing hour finds nobody.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q icalendar==7.3.2 recurring-ical-events==3.8.2 tzdata==2026.6
cat >ask.py <<'P'
from datetime import datetime

import recurring_ical_events
from icalendar import Calendar


def hours(start, duration):
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T000000Z"]
    lines += [f"DTSTART;TZID=Europe/Berlin:202603{start}", f"DURATION:{duration}", "RRULE:FREQ=WEEKLY;COUNT=2"]
    calendar = Calendar.from_ical("\r\n".join([*lines, "END:VEVENT", "END:VCALENDAR", ""]))
    shifts = recurring_ical_events.of(calendar).between(datetime(2026, 3, 1), datetime(2026, 4, 10))
    return [(shift.end.timestamp() - shift.start.timestamp()) / 3600 for shift in shifts]


print(hours("21T230000", "PT8H"), hours("21T120000", "PT24H"), hours("22T023000", "PT1H"))
P
seen=$(v/bin/python ask.py)
echo "icalendar 7.3.2, recurring-ical-events 3.8.2, hours of two weekly shifts, the second in the change: $seen"
[ "$seen" = "[8.0, 7.0] [24.0, 23.0] [1.0, 0.0]" ]
