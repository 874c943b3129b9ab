"""An issuer of tokens for tests: joserfc signs, and a small HTTP server publishes its metadata and keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import Key, OKPKey

AUDIENCE = "brain"


class TestIssuer:
    """Signs by `key`; `published` is what its JWKS has. `reads` counts how often that was read."""

    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self.reads = 0
        self.key: Key = OKPKey.generate_key("Ed25519", parameters={"kid": "k1", "use": "sig"})
        self.published: list[Key] = [self.key]

    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in self.published]}

    def claims(self, subject: str, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"iss": self.url, "sub": subject, "aud": [AUDIENCE], "iat": now, "exp": now + 300, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject: str, *, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        algorithm = {"OKP": "Ed25519", "EC": "ES256", "RSA": "RS256", "oct": "HS256"}[(key or self.key).key_type]
        head = {"alg": algorithm, "kid": (key or self.key).kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, self.claims(subject, **changes), key or self.key, algorithms=[head["alg"]])

    @contextmanager
    def serving(self) -> Iterator[TestIssuer]:
        """Answer on a free port inside the block."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith("/jwks"):
                    issuer.reads += 1
                    found = issuer.jwks()
                else:
                    found = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
                data = json.dumps(found).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
