"""Requests that an agent signed: verified before anything else is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from brain.access.agent_models import HANDSHAKE, SIGNATURE, Agent
from brain.access.http_signatures import (
    Asked,
    Signature,
    SignatureFault,
    check_body,
    check_signature,
    check_time,
    read_signature,
)
from brain.access.nonce_store import remember
from brain.charter import Principal
from brain.errors import Conflict
from brain.server.body import READ_SECONDS, read_body, replayed
from brain.server.known_agents import KnownAgents
from brain.server.nonces import Nonces
from brain.store import Store

HEADER = b"signature-input"


class Proof(NamedTuple):
    """What a signature proves: the agent that acts, or why it proves nothing; and the body, to be read again."""

    who: Principal | None
    fault: str | None
    receive: Receive


def is_signed(scope: Scope) -> bool:
    """Whether the request says that it is signed."""
    for name, _ in scope["headers"]:  # noqa: SIM110  (quicker than any(...), and done for each request)
        if name == HEADER:
            return True
    return False


def raw_path(scope: Scope) -> str:
    """The path of a request as it was sent, without the query."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


class SignedRequests:
    """Verifies signed requests. `urls` are the public ones of the server; none: that of the Host header counts."""

    def __init__(
        self, agents: KnownAgents, store: Store, urls: Sequence[str], limit: int, nonces: Nonces | None = None
    ) -> None:
        self.agents = agents
        self._store = store
        self._urls = [url.lower() for url in urls]
        self._limit = limit
        self._nonces = Nonces(agents.clock) if nonces is None else nonces

    def bases(self, scope: Scope, host: str) -> Sequence[str]:
        """The public URLs of the server, without paths; where none are set, that of the Host header."""
        return self._urls or [f"{scope['scheme']}://{host.lower()}"]

    async def prove(self, scope: Scope, receive: Receive) -> Proof:
        """Who signed it. The signature is checked first, then that it is new, then the body."""
        headers = _joined(Headers(scope=scope))
        address = scope["client"][0] if scope.get("client") else None
        try:
            signature = read_signature(headers)
            agent = await self.agents.find(signature.keyid)
            if agent is None or not agent.public_key:
                return Proof(None, "the signature is of a key that no agent has", receive)
            check_time(signature, self.agents.clock())
            self._check(signature, agent, scope, headers)
            if agent.retired_at is not None:
                return Proof(agent.principal("retired agent", address), f"the agent {agent.id} is retired", receive)
            await self._check_new(signature, agent, scope["path"])
            body = await self._body(receive)
            check_body(signature, headers.get("content-digest"), body)
        except SignatureFault as fault:
            return Proof(None, str(fault), receive)
        return Proof(agent.principal(SIGNATURE, address), None, replayed(body, receive))

    def _check(self, signature: Signature, agent: Agent, scope: Scope, headers: dict[str, str]) -> None:
        """Raises SignatureFault unless the signature fits one of the public URLs."""
        key = self.agents.key(agent)
        query = scope["query_string"].decode("latin-1")
        faults = []
        for base in self.bases(scope, headers.get("host", "")):
            asked = Asked(scope["method"], base, raw_path(scope), query, headers)
            try:
                return check_signature(signature, asked, key)
            except SignatureFault as fault:
                faults.append(fault)
        raise faults[-1]

    async def _check_new(self, signature: Signature, agent: Agent, path: str) -> None:
        fault = self._nonces.fault(agent.keyid, signature.nonce, signature.created)
        if fault is not None:
            raise SignatureFault(f"{fault} (agent {agent.id})")
        if path == HANDSHAKE:  # whoever repeats it elsewhere would get a session: it counts once on all servers
            try:
                await asyncio.to_thread(remember, self._store, signature.keyid, signature.nonce, signature.created)
            except Conflict:
                raise SignatureFault(f"the request was sent before, to another server (agent {agent.id})") from None

    async def _body(self, receive: Receive) -> bytes:
        """The body within the server's limit."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await read_body(receive, self._limit)
        except TimeoutError:
            raise SignatureFault(f"the body did not arrive within {READ_SECONDS:g} s") from None
        if body is None or len(body) > self._limit:
            raise SignatureFault(f"the body is not whole, or larger than {self._limit} bytes")
        return body


def _joined(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        found[name] = f"{found[name]}, {value.strip()}" if name in found else value.strip()
    return found
