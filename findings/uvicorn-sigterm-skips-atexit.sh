#!/usr/bin/env bash
# Guess: uvicorn answers SIGTERM by a shutdown in good order, after which the interpreter ends and runs the functions of atexit.
# Truth: after the shutdown it restores the default handler and sends the signal to itself once more. The process is killed by it:
# functions of atexit, `finally` of the module that calls uvicorn.run, and buffered output are skipped. The lifespan's end does run.
# Why it matters: what flushes itself at exit (log shippers, exporters, clients with a queue) loses its last part with every deployment.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q uvicorn==0.54.0
cat >app.py <<'P'
import atexit
import os


def say(text):
    os.write(1, f"{text} ".encode())


async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.complete"})
    os.write(3, b"up\n")
    await receive()
    say("lifespan-end")
    await send({"type": "lifespan.shutdown.complete"})


atexit.register(say, "atexit")
P
mkfifo up
v/bin/uvicorn app:app --port 0 --log-level critical >seen 3>up &
read -r _ <up
kill -TERM $!
code=0; wait $! || code=$?
seen="$(cat seen)code $code"
echo "uvicorn 0.54.0: $seen"
[ "$seen" = "lifespan-end code 143" ]
