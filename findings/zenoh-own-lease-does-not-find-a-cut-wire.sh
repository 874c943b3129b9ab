#!/usr/bin/env bash
# Guess: a Zenoh client whose transport/link/tx/lease is 800 ms notices within a second or so that its router is gone.
# Truth: the lease is what the OTHER side waits for us. A client finds a wire that was cut without a word by the router's lease,
# 10 s unless the router says otherwise: until then its session lists the router, and put() returns as if all were well.
# Why it matters: who shows "connected", or lets a robot drive, by session.info is wrong for ten seconds. Ask the router
# something it answers by itself: a liveliness get() with a timeout ends at once while the wire is whole, and with an error after it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q eclipse-zenoh==1.10.2
cat >ask.py <<'P'
import socket
import threading
import time

import zenoh


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def config(mode, **values):
    made = zenoh.Config()
    for key, value in {"mode": f'"{mode}"', "scouting/multicast/enabled": "false", **values}.items():
        made.insert_json5(key, value)
    return made


cut = threading.Event()


def carry(one, other):
    while data := one.recv(65536):
        if not cut.is_set():
            other.sendall(data)


router_port, wire = free(), socket.create_server(("127.0.0.1", 0))
router = zenoh.open(config("router", **{"listen/endpoints": f'["tcp/127.0.0.1:{router_port}"]'}))


def accept():
    client, _ = wire.accept()
    there = socket.create_connection(("127.0.0.1", router_port))
    for pair in ((client, there), (there, client)):
        threading.Thread(target=carry, args=pair, daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
endpoint = f'["tcp/127.0.0.1:{wire.getsockname()[1]}"]'
session = zenoh.open(config("client", **{"connect/endpoints": endpoint, "transport/link/tx/lease": "800"}))
whole = [reply.ok is not None for reply in session.liveliness().get("a/b", timeout=0.5)]
cut.set()
time.sleep(3)
lists = bool(session.info.routers_zid())
session.put("a/b", b"x")
asked = [reply.ok is not None for reply in session.liveliness().get("a/b", timeout=0.5)]
print(f"3 s after the cut: lists its router {lists}; asked before {whole}, after {asked}", flush=True)
import os

os._exit(0)
P
seen=$(v/bin/python ask.py)
echo "eclipse-zenoh 1.10.2, $seen"
[ "$seen" = "3 s after the cut: lists its router True; asked before [], after [False]" ]
