#!/usr/bin/env bash
# Guess: ioc-finder leaves names of files in a text alone: main.py, run.sh and README.md are no indicators.
# Truth: py, sh, md, rs and zip are top-level domains, so all of these are domains; a version of four numbers is an IPv4 address.
# Why it matters: what coding agents and build logs say is full of such names. A feed made from it has the fleet's own files as
# threats, and some of these domains do exist: look-ups tell strangers what is worked on. Keep known file endings out.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q ioc-finder==9.4.1
cat >ask.py <<'P'
from ioc_finder import find_iocs

found = find_iocs("The agent changed main.py, lib.rs and README.md, ran run.sh, made data.zip and notes.txt, and raised it to 1.2.3.4.")
print(*sorted(found["domains"]), *found["ipv4s"])
P
seen=$(v/bin/python ask.py)
echo "ioc-finder 9.4.1: $seen"
[ "$seen" = "data.zip lib.rs main.py readme.md run.sh 1.2.3.4" ]
