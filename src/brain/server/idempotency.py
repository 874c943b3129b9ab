"""`Idempotency-Key`: a POST that is sent again is answered again, and carried out once.

After draft-ietf-httpapi-idempotency-key-header-07 (October 2025): 422 for a key with another request, 409 while the
first is being carried out (its section 2.7).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain import limits
from brain.errors import BrainError, InvalidInput
from brain.json_text import JSON_FAULTS
from brain.kit.idempotency import using_key
from brain.logs import Log
from brain.server.body import replayed
from brain.server.paths import Paths
from brain.server.problems import brain_problem, problem
from brain.server.request_keys import Answer, Busy, Claim, OtherContent, RequestKeys

log: Log = Log("brain.server.idempotency")

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Of your choice, new for every request, such as a UUID. The same request sent again with the same "
    "key is carried out once, and answered again as the first time; kept for 24 hours.",
    "schema": {"type": "string", "pattern": rf"^[!-~]{{1,{limits.KEY}}}$"},
    "example": "8e03978e-40d5-43e8-bc93-6894a57f9324",
}
"""The header in the OpenAPI document."""

_NAME = HEADER.lower().encode()
_KEY = re.compile(rf"[!-~]{{1,{limits.KEY}}}").fullmatch
_NEW_KEY = f"{HEADER} (header): belongs to another request already; take a new key for every new request"
_WAIT = f"{HEADER} (header): the request with this key is being carried out; send it again in a second"


class Idempotency:
    """ASGI middleware for each POST below `/api/` whose operation takes the header, and does nothing without it.

    Answers below 500 are kept. After others, and answers that are too large to be kept, the request is carried out when
    it is sent again.
    """

    def __init__(self, app: ASGIApp, keys: RequestKeys, paths: Paths) -> None:
        self._app = app
        self._keys = keys
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = _given(scope)
        if not given or not self._paths.takes_key(scope["path"]):
            await self._app(scope, receive, send)
            return
        if (fault := _fault(given)) is not None:
            await problem(InvalidInput.status, InvalidInput.title, fault)(scope, receive, send)
            return
        message = await receive()
        if message["type"] != "http.request":
            return  # the client is gone
        body = message["body"]  # whole: the BodyReader has read it
        id = _id(scope["path"], given[0])
        try:
            found = await asyncio.to_thread(self._keys.begin, id, _content(scope["query_string"], body))
        except BrainError as error:
            await brain_problem("POST", scope["path"], error)(scope, receive, send)
            return
        if isinstance(found, Claim):
            await self._carry_out(found, scope, replayed(body, receive), send)
        else:
            await _answer(found)(scope, receive, send)

    async def _carry_out(self, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        async with self._keys.held(claim) as held:
            try:
                with using_key(claim.id):
                    await self._app(scope, receive, keep)
            except Exception:
                await self._settle(held(), None)
                raise
        await self._settle(held(), _kept(messages))
        for message in messages:
            await send(message)

    async def _settle(self, claim: Claim, answer: Answer | None) -> None:
        """Keep the answer; without one the request may be tried again. What is created is so already: never raises."""
        try:
            if answer is None:
                await asyncio.to_thread(self._keys.release, claim)
            else:
                await asyncio.to_thread(self._keys.finish, claim, answer)
        except BrainError as error:
            log.warning("the answer to a request is not kept", key=claim.id, error=str(error))


def _given(scope: Scope) -> Sequence[str]:
    if scope["type"] != "http" or scope["method"] != "POST":
        return ()
    return [value.decode("latin-1") for name, value in scope["headers"] if name == _NAME]


def _fault(given: Sequence[str]) -> str | None:
    if len(given) > 1:
        return f"{HEADER} (header): is there {len(given)} times; send one"
    if _KEY(given[0]) is None:
        return f"{HEADER} (header): {limits.shown(given[0])} is no key; give 1 to {limits.KEY} visible ASCII characters"
    return None


def _id(path: str, key: str) -> str:
    """What stands for the key at this path; the draft's form, in quotes, is the same key as without them."""
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    return sha256(f"POST {path}\0{key}".encode()).hexdigest()


def _content(query: bytes, body: bytes) -> str:
    """What tells a request from others of its path: the query, and the JSON value of the body."""
    with suppress(*JSON_FAULTS):  # no body, or none that is JSON: its bytes tell it as well
        body = msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    return sha256(query + b"\0" + body).hexdigest()


def _kept(messages: Sequence[Message]) -> Answer | None:
    """The answer, when it is one to keep."""
    start = messages[0]
    body = b"".join(message.get("body", b"") for message in messages[1:])
    if start["status"] >= 500 or len(body) > limits.REQUEST_ANSWER:
        return None
    return Answer(start["status"], [(bytes(name), bytes(value)) for name, value in start["headers"]], body)


def _answer(found: Answer | Busy | OtherContent) -> Response:
    if isinstance(found, OtherContent):
        return problem(422, f"{HEADER} is already used", _NEW_KEY)
    if isinstance(found, Busy):
        busy = problem(409, f"A request is outstanding for this {HEADER}", _WAIT)
        busy.headers["Retry-After"] = "1"
        return busy
    again = Response(found.body, found.status)
    again.raw_headers = [*found.headers, (REPLAYED.lower().encode(), b"true")]
    return again
