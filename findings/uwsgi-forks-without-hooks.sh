#!/usr/bin/env bash
# Guess: workers that uWSGI forks after it has loaded the application run what os.register_at_fork was given, as with gunicorn --preload.
# Truth: by default they do not, and nothing in the log says so; --py-call-uwsgi-fork-hooks has them run.
# Why it matters: random generators, pools of connections and mapped files that renew themselves after a fork are shared by all workers.
# What followed here: a stream refuses to be opened so (brain.stream.uwsgi); two workers would have overwritten one journal.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q pyuwsgi==2.0.30.post1
cat >app.py <<'P'
import os

hooked = []
os.register_at_fork(after_in_child=lambda: hooked.append(os.getpid()))


def application(environ, start_response):
    start_response("200 OK", [])
    return [f"hooked={os.getpid() in hooked}".encode()]
P
cat >ask.py <<'P'
import sys
import time
import urllib.request

for _ in range(100):
    try:
        print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}").read().decode(), end="")
        break
    except OSError:
        time.sleep(0.1)
P
ask() {
    local port; port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    v/bin/uwsgi --http-socket "127.0.0.1:$port" --module app --master --processes 1 --die-on-term "$@" >log 2>&1 &
    v/bin/python ask.py "$port"
    kill -TERM $!; wait $! || true
}
seen="$(ask); $(ask --py-call-uwsgi-fork-hooks)"
echo "uWSGI 2.0.30: $seen"
[ "$seen" = "hooked=False; hooked=True" ]
