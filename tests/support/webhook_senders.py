"""Deliveries as their senders sign them, and the recorded payloads of GitHub."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

SECRET = "It's a Secret to Everybody"
STANDARD = f"whsec_{base64.b64encode(b'a' * 32).decode()}"
JSON = {"content-type": "application/json"}


def hex_of(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def github(body: bytes, delivery: str, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    signature = f"sha256={hex_of(secret, body)}"
    return {**JSON, "x-github-delivery": delivery, "x-github-event": event, "x-hub-signature-256": signature}


def standard(body: bytes, id: str, at: float) -> dict[str, str]:
    key = base64.b64decode(STANDARD.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{int(at)}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {**JSON, "webhook-id": id, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def stripe(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    signature = hex_of(secret, f"{int(at)}.".encode() + body)
    return {**JSON, "stripe-signature": f"t={int(at)},v1={'0' * 64},v1={signature}"}


def sentry(body: bytes, id: str, resource: str = "issue", secret: str = SECRET) -> dict[str, str]:
    signature = hex_of(secret, body)
    return {**JSON, "sentry-hook-signature": signature, "sentry-hook-resource": resource, "request-id": id}


def pagerduty(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {**JSON, "x-pagerduty-signature": f"v1={'0' * 64},v1={hex_of(secret, body)}"}


def bearer(secret: str = SECRET) -> dict[str, str]:
    return {**JSON, "authorization": f"Bearer {secret}"}


def recorded() -> list[tuple[str, bytes]]:
    """The 726 payloads that GitHub's webhooks were recorded with, each with its event's name; skips without them."""
    return list(_recorded(_folder()))


def _folder() -> Path:
    project = Path(__file__).parents[2]
    specification = spec_from_file_location("fetch_webhook_examples", project / "scripts" / "fetch_webhook_examples.py")
    assert specification is not None
    assert specification.loader is not None
    fetcher = module_from_spec(specification)
    sys.modules[specification.name] = fetcher
    specification.loader.exec_module(fetcher)
    try:
        folder: Path = fetcher.fetch(Path(os.environ.get("BRAIN_TEST_DATA", "") or fetcher.CACHE))
    except OSError as error:
        pytest.skip(f"the recorded payloads cannot be had from the npm registry: {error}")
    return folder


def _recorded(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.glob("*/index.json")):
        for event in json.loads(file.read_text()):
            for example in event["examples"]:
                yield event["name"], json.dumps(example, ensure_ascii=False).encode()


def connector(kind: str, secret: str = SECRET, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "secret": secret, **more}
