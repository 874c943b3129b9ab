"""A small tracker on a real socket, as the docs' ticket systems talk to it: tickets by key, in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Tracker(ThreadingHTTPServer):
    """Any path names a ticket by its last part. PUT and POST change it, comments with one reference count once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tickets: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def running(self) -> Iterator[Tracker]:
        """Serve, inside the block."""
        with self:
            thread = threading.Thread(target=self.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                self.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Tracker

    def _answer(self) -> None:
        key = self.path.rpartition("/")[2]
        content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        before = json.dumps(self.server.tickets.get(key))
        ticket = self.server.tickets.setdefault(key, {"state": "NEW", "comments": {}, **content})
        if "comment" in content:
            ticket["comments"].setdefault(content["reference"], content["comment"])
        ticket["state"] = content.get("state", ticket["state"])
        body = json.dumps({"state": ticket["state"], "changed": json.dumps(ticket) != before}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815  (the names that http.server calls)

    def log_message(self, format: str, *args: Any) -> None:
        pass
