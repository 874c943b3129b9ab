#!/usr/bin/env bash
# Guess: at a warm shutdown the processes of Celery's prefork pool end as those of multiprocessing do: finalizers of
# multiprocessing.util, functions that `threading` calls at its end, and (if not in all versions) functions of atexit run.
# Truth: none of them runs. A process sends the signal worker_process_shutdown, sleeps for a second, and calls os._exit.
# Why it matters: exporters and clients that flush at exit lose what the last tasks gave them. Flush at the signal.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q "celery[sqlalchemy]==5.7.0" billiard==4.3.2
cat >app.py <<'P'
import atexit
import multiprocessing.util
import os
import threading

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready

app = Celery("x", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": ".", "data_folder_out": "."}


def say(text):
    os.write(3, f"{text}\n".encode())


@worker_process_init.connect
def init(**_):
    atexit.register(say, "atexit")
    threading._register_atexit(say, "threading")
    multiprocessing.util.Finalize(None, say, ("multiprocessing",), exitpriority=1)


@worker_process_shutdown.connect
def down(**_):
    say("signal")


@worker_ready.connect
def ready(**_):
    os.write(4, b"up\n")
P
mkfifo up
C_FORCE_ROOT=1 v/bin/celery --app app worker --concurrency 1 --loglevel CRITICAL >/dev/null 2>&1 3>seen 4>up &
read -r _ <up
kill -TERM $!
wait $! || true
seen=$(tr '\n' ' ' <seen)
echo "celery 5.7.0, billiard 4.3.2: $seen"
[ "$seen" = "signal " ]
