"""What an agent does to prove itself to a server: sign a handshake, and take the session that it gives."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

from brain.access.agent_models import HANDSHAKE
from brain.access.http_signatures import Asked, signed_headers
from brain.access.private_keys import read_private_key
from brain.connectors.urls import url_parts
from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.kit.cli.server import refusal


def open_session(url: str, key_file: Path) -> dict[str, Any]:
    """The server's answer to a signed handshake: `session`, `agent_id`, `expires_at`.

    Raises InvalidInput for a bad URL or key file, the error that the server answers, such as Forbidden, and Unavailable
    when it does not answer.
    """
    with needs("a session of an agent", "connectors"):
        import httpx

    parts = url_parts(url, "url")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"url: {url!r} is not the address of a server, such as http://127.0.0.1:8765")
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    headers = signed_headers(
        Asked("POST", base, HANDSHAKE, "", {}), b"", read_private_key(key_file), secrets.token_hex(16), int(time.time())
    )
    try:
        answer = httpx.post(f"{base}{HANDSHAKE}", headers=headers, timeout=30, trust_env=False)
    except httpx.HTTPError as error:
        raise Unavailable(f"{base} does not answer: {error}") from error
    if not answer.is_success:
        raise refusal(answer.status_code, answer.text, base)
    found: dict[str, Any] = answer.json()
    return found
