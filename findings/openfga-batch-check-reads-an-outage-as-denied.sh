#!/usr/bin/env bash
# Guess: batch_check of openfga-sdk raises when the server fails for a check, as check does, or leaves `allowed` unset.
# Truth: check raises; client_batch_check and batch_check answer allowed=False with the fault in `error`, next to real denials.
# list_relations raises again.
# Why it matters: a job that takes away access or closes sessions where allowed is false acts on an outage as on a policy, and
# its log says "denied". Look at `error` before `allowed` in each item.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q openfga-sdk==0.10.5
cat >ask.py <<'P'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from openfga_sdk import ClientConfiguration
from openfga_sdk.client.models import ClientBatchCheckItem, ClientBatchCheckRequest, ClientCheckRequest
from openfga_sdk.configuration import RetryParams
from openfga_sdk.sync import OpenFgaClient

logging.disable(logging.CRITICAL)
FAULT = {"code": "internal_error", "message": "the store is down"}


class Server(BaseHTTPRequestHandler):
    """Fails each check of the user `unlucky`, as a server whose store is down for a moment does."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/batch-check"):
            error = {"error": {"internal_error": "internal_error", "message": "the store is down"}}
            result = {one["correlation_id"]: error if self.unlucky(one) else {"allowed": True} for one in asked["checks"]}
            self.reply(200, {"result": result})
        elif self.unlucky(asked):
            self.reply(500, FAULT)
        else:
            self.reply(200, {"allowed": True})

    def unlucky(self, one):
        return one["tuple_key"]["user"] == "user:unlucky"

    def reply(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=httpd.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{httpd.server_address[1]}"
store = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
client = OpenFgaClient(ClientConfiguration(api_url=url, store_id=store, retry_params=RetryParams(max_retry=0)))
WHAT = {"relation": "reader", "object": "doc:1"}
users = ("user:unlucky", "user:anna")
try:
    client.check(ClientCheckRequest(user=users[0], **WHAT))
except Exception as error:
    print(f"check {type(error).__name__}", end="; ")
by_client = client.client_batch_check([ClientCheckRequest(user=user, **WHAT) for user in users])
print("client_batch_check", *(one.allowed for one in by_client), end="; ")
items = [ClientBatchCheckItem(user=user, **WHAT) for user in users]
answers = client.batch_check(ClientBatchCheckRequest(items)).result
print("batch_check", *(one.allowed for one in sorted(answers, key=lambda one: users.index(one.request.user))))
P
seen=$(v/bin/python -W ignore ask.py)
echo "openfga-sdk 0.10.5, of a failing and a good check: $seen"
[ "$seen" = "check ServiceException; client_batch_check False True; batch_check False True" ]
