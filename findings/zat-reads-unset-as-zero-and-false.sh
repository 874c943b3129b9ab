#!/usr/bin/env bash
# Guess: a field that Zeek left unset (`-`) is None, or absent, in the rows of zat, and times are UTC as Zeek writes them.
# Truth: an unset count is 0, an unset bool False, an unset interval 0 s, an unset time the second day of 1970; times have no zone and
# are those of the machine's zone.
# Why it matters: "no bytes were sent" and "not known" are one, so means of bytes and durations are too low, a rule on local_orig
# == False hits each connection of a Zeek without local networks, and two sites give one event two times.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q --no-deps zat==0.4.9 pandas==2.3.3 numpy==2.3.5 python-dateutil==2.9.0 six==1.17.0 \
    pytz==2025.2 tzdata==2025.2
cat >ask.py <<'P'
from zat.zeek_log_reader import ZeekLogReader

HEAD = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
FIELDS = {"ts": "time", "uid": "string", "orig_bytes": "count", "duration": "interval", "local_orig": "bool", "seen": "time"}
ROW = ["1767225600.0", "C1", "-", "-", "-", "-"]  # 2026-01-01 00:00:00 UTC
with open("conn.log", "w") as log:
    print(*HEAD, "\t".join(["#fields", *FIELDS]), "\t".join(["#types", *FIELDS.values()]), "\t".join(ROW), sep="\n", file=log)
[row] = ZeekLogReader("conn.log").readrows()
print("found", *(f"{name}={row[name]}" for name in FIELDS if name != "uid"), sep="; ")
P
for zone in UTC Asia/Tokyo; do TZ=$zone v/bin/python ask.py | grep found; done >seen
echo "zat 0.4.9, four unset fields behind ts, in UTC and in Tokyo:"
cat seen
[ "$(cat seen)" = "found; ts=2026-01-01 00:00:00; orig_bytes=0; duration=0:00:00; local_orig=False; seen=1970-01-02 00:00:00
found; ts=2026-01-01 09:00:00; orig_bytes=0; duration=0:00:00; local_orig=False; seen=1970-01-02 09:00:00" ]
