"""Asking the server that runs, for what only it can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from brain.errors import BrainError, Conflict, Forbidden, InvalidInput, MissingExtra, NotFound, Unavailable

__all__ = ["UrlOption", "ask_server", "refusal"]

UrlOption = Annotated[str | None, typer.Option("--url", help="The server; else that of the settings.")]
"""The option `--url`: where the server is."""
_ERRORS: Final[tuple[type[BrainError], ...]] = (InvalidInput, NotFound, Conflict, Forbidden, Unavailable, MissingExtra)


async def ask_server(
    method: str, path: str, body: Mapping[str, Any] | None = None, *, url: str | None = None, seconds: float = 10.0
) -> Any:
    """What the server answers, with the API key of the settings. Raises the error that it answers, and Unavailable."""
    import httpx

    from brain.kit.own_server import own_url, trust
    from brain.settings import load_settings

    settings = load_settings()
    base, verify = (url, True) if url else (own_url(settings), trust(settings))
    headers = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
    try:
        async with httpx.AsyncClient(
            base_url=base, headers=headers, timeout=seconds, trust_env=False, verify=verify
        ) as client:
            answer = await client.request(method, path, json=body)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise InvalidInput(
            f"--url {base}: is no address of a server, such as http://127.0.0.1:8765: {error}"
        ) from error
    except httpx.HTTPError as error:
        words = f"no server answers at {base}: {type(error).__name__}"
        raise Unavailable(f"{words}; start one with brain serve, or name it with --url") from error
    if answer.is_success:
        return answer.json()
    raise refusal(answer.status_code, answer.text, base)


def refusal(status: int, text: str, base: str) -> BrainError:
    """The error in an answer of the server at `base` (RFC 9457)."""
    import msgspec

    try:
        found = msgspec.json.decode(text)
        words = str(found["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        words = f"{base} answered {status}, and not why; is that a server of this package?"
    if status in (401, 403):
        return Forbidden(words)
    return next((kind(words) for kind in _ERRORS if kind.status == status), Unavailable(words))
