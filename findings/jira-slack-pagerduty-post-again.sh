#!/usr/bin/env bash
# Guess: clients of ticket and chat systems raise when the answer to a POST that creates something is lost: it may be done.
# Truth: jira, slack_sdk and pagerduty send it again when the connection breaks after the request, pagerduty on 500 to 504 as
# well, without a dedup_key unless one was given. The call then succeeds.
# Why it matters: one fault makes two issues, messages or pages, and the caller knows of the last only. Give a dedup_key,
# max_retries=0 to JIRA and retry_handlers=[] to WebClient; look up before you create.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q jira==3.10.5 pagerduty==7.2.0 slack_sdk==3.47.0
cat >ask.py <<'P'
import json
import logging
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pagerduty
from jira import JIRA
from slack_sdk import WebClient

logging.disable(logging.CRITICAL)


def server(answer):
    posts = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.reply({"id": "1", "key": "OPS"})

        def do_POST(self):
            posts.append(self.rfile.read(int(self.headers["Content-Length"])))
            if len(posts) == 1:  # it was received; the answer is lost
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            else:
                self.reply(answer)

        def reply(self, data):
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{httpd.server_address[1]}", posts


url, issues = server({"key": "OPS-2", "id": "2", "self": "x"})
issue = {"project": "OPS", "summary": "disk full", "issuetype": {"name": "Task"}}
JIRA(url, basic_auth=("user", "x"), get_server_info=False).create_issue(fields=issue, prefetch=False)
url, messages = server({"ok": True, "ts": "1"})
WebClient("x", base_url=url + "/").chat_postMessage(channel="C1", text="disk full")
url, pages = server({"status": "success", "dedup_key": "k"})
events = pagerduty.EventsApiV2Client("R" * 32)
events._url = url  # the public setter wants https
events.sleep_timer = 0.01
events.trigger("disk full", "host")
keys = [json.loads(page).get("dedup_key") for page in pages]
print(f"jira {len(issues)}, slack {len(messages)}, pagerduty {len(pages)} with keys {keys}")
P
seen=$(v/bin/python -W ignore ask.py)
echo "jira 3.10.5, pagerduty 7.2.0, slack_sdk 3.47.0, posts that the server got in one call: $seen"
[ "$seen" = "jira 2, slack 2, pagerduty 2 with keys [None, None]" ]
