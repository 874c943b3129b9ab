"""A receiver of signed webhooks that checks each signature and remembers the ids it has seen.

Source: standardwebhooks.com, the specification's sections on headers, signature scheme and idempotency. The signature
is computed here from the specification, not with the connector's code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

KEY = b"stand-in key, 32 bytes in length"
"""What it checks with; as the setting is written: `whsec_` and base64 of it."""
WRITTEN_KEY = f"whsec_{base64.b64encode(KEY).decode()}"
_TOLERANCE = 300


class WebhookSink(StandIn):
    """Answers 200 to what is signed and new, 200 without effect to what it had before, 401 to the rest."""

    def __init__(self) -> None:
        self.messages: dict[str, Any] = {}
        super().__init__(
            "a webhook receiver",
            "https://www.standardwebhooks.com",
            [Route("/hook", self._hook, methods=["POST"])],
            things=lambda: [{"id": name, "message": message} for name, message in self.messages.items()],
        )

    def reset(self) -> None:
        super().reset()
        self.messages.clear()

    async def _hook(self, request: Request) -> Response:
        body = await request.body()
        if not _signed(request, body):
            return self.answer(request, read_json(body), 401, {"error": "the signature does not fit"})
        message = read_json(body)
        if not isinstance(message, dict) or "type" not in message:
            return self.answer(request, message, 400, {"error": "a message needs a type"})
        new = request.headers["webhook-id"] not in self.messages
        self.messages.setdefault(request.headers["webhook-id"], message)
        return self.answer(request, message, 200, {"new": new})


def _signed(request: Request, body: bytes) -> bool:
    name, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    if not name or not at.isdigit() or abs(time.time() - int(at)) > _TOLERANCE:
        return False
    digest = hmac.new(KEY, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(wanted, given) for given in request.headers.get("webhook-signature", "").split())
