"""Senders whose bearer another issuer gave: registered agents, and services by the role that the settings give them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from brain.access.agent_models import Agent, token_id
from brain.access.dpop import SCHEME, WHAT, ProofFault, Request, bound_to, check_proof
from brain.access.models import Role
from brain.access.nonce_store import remember
from brain.access.published_keys import IssuerFault
from brain.access.settings import ALGORITHMS, IssuerSettings
from brain.access.token_issuers import TokenFault, TokenIssuers, Verified, faults_of_files
from brain.charter import Principal
from brain.errors import Conflict, Unavailable
from brain.logs import Log
from brain.server.known_agents import KnownAgents
from brain.server.nonces import Nonces
from brain.store import Store

log: Log = Log("brain.server.tokens")

TOKEN = "token"
"""How a principal is proven by a token of another issuer."""
BOUND = "token with dpop"
"""The same, with a proof of the key that the token is bound to."""
KEPT_SECONDS = 60.0
"""How long a token that was verified is not verified again."""
_KEPT = 10_000


class _Kept(NamedTuple):
    verified: Verified
    at: float


class KnownTokens:
    """The issuers of one server. `clock` gives Unix seconds."""

    def __init__(
        self,
        store: Store,
        agents: KnownAgents,
        issuers: Sequence[IssuerSettings],
        nonces: Nonces,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._agents = agents
        self._issuers = TokenIssuers(issuers, clock)
        self._clock = clock
        self._nonces = nonces
        self._kept: dict[bytes, _Kept] = {}
        self.is_on: bool = bool(issuers)
        """Whether there are issuers."""
        self._settings = issuers

    def check(self) -> None:
        """Log whose keys stand in a file that cannot be read now; it is read again when a token comes. Blocks."""
        for fault in faults_of_files(self._settings):
            log.error("no token of this issuer counts until its keys can be read", error=fault)

    async def who(self, token: str, address: str | None, bound: Request | None) -> tuple[Principal, str | None]:
        """Who sends the token, and why that one is not let in; None when it is.

        `bound` is the request that its proof is for, where the sender says that the token is bound to a key.
        """
        nobody = Principal(name="anonymous", how="none", address=address)
        try:
            verified = await self._verified(token)
            self._check_bound(verified, token, bound)
        except IssuerFault as error:
            return nobody, str(error)
        except Unavailable as error:
            log.warning("a token cannot be verified", error=str(error))
            return nobody, "the token cannot be verified now: its issuer does not answer"
        agent = await self._agents.find(token_id(verified.issuer.issuer, verified.subject))
        who, fault = self._known(verified, agent, address, TOKEN if bound is None else BOUND)
        if fault is None and verified.issuer.once:
            fault = await self._used(verified)
        return who, fault

    def challenge(self, scheme: str, fault: str) -> str:
        """`WWW-Authenticate` for a request that was refused for this; `scheme` is the one that it came by."""
        if not self.is_on:
            return "Bearer"
        algorithms = f'algs="{" ".join(ALGORITHMS)}"'
        if scheme != SCHEME:
            return f"Bearer, DPoP {algorithms}"
        error = "invalid_dpop_proof" if fault.startswith(WHAT) else "invalid_token"
        return f'DPoP error="{error}", {algorithms}'

    def _check_bound(self, verified: Verified, token: str, bound: Request | None) -> None:
        """Raises ProofFault unless a bound token comes with its proof, and one that is not bound as a bearer."""
        key = bound_to(verified.claims)
        if key is None:
            if bound is not None:
                raise ProofFault("the token is bound to no key (cnf.jkt); send it as a bearer")
            if verified.issuer.dpop == "required":
                raise ProofFault("the token is bound to no key (cnf.jkt), which is required of its issuer's")
            return
        if bound is None:
            raise ProofFault("the token is bound to a key; send it as 'Authorization: DPoP TOKEN' with a proof of it")
        proof = check_proof(bound, token, key, self._clock())
        fault = self._nonces.fault(f"dpop {proof.key}", proof.id, proof.made_at)
        if fault is not None:
            raise ProofFault(f"{WHAT} does not count: {fault}")

    async def over(self, who: Principal, token: str) -> str | None:
        """Why a token that let `who` in no longer counts; None while it does, also while its issuer is away."""
        if who.proves is not None and (fault := self._agents.over(who)) is not None:
            return fault
        try:
            verified = await self._verified(token)
        except TokenFault as error:
            return str(error)
        except Unavailable:
            return None
        return "the token is expired" if self._clock() >= verified.end else None

    async def _verified(self, token: str) -> Verified:
        digest, now = sha256(token.encode()).digest(), self._clock()
        kept = self._kept.get(digest)
        if kept is not None and abs(now - kept.at) < KEPT_SECONDS and now < kept.verified.end:
            return kept.verified
        verified = await self._issuers.verify(token)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        self._kept[digest] = _Kept(verified, now)
        return verified

    def _known(
        self, verified: Verified, agent: Agent | None, address: str | None, how: str
    ) -> tuple[Principal, str | None]:
        if agent is not None and agent.retired_at is not None:
            return agent.principal("retired agent", address), f"the agent {agent.id} is retired"
        if agent is not None:
            return agent.principal(how, address), None
        role, name = _role(verified), _name(verified)
        if role is None:
            return (
                Principal(name=name, how="token without a role", address=address),
                f"{name} is no registered agent, and has no role here",
            )
        return Principal(name=name, kind="service", how=how, address=address, role=role), None

    async def _used(self, verified: Verified) -> str | None:
        """Why the token does not count once more; it counts once on all servers of the store."""
        assert verified.id is not None, "tokens without one are refused"
        place = token_id(verified.issuer.issuer, verified.id)
        try:
            await asyncio.to_thread(remember, self._store, place, verified.id, int(verified.end))
        except Conflict:
            return "the token was sent before: its jti was seen"
        return None


def _role(verified: Verified) -> Role | None:
    settings = verified.issuer
    claimed = verified.claims.get(settings.roles_claim)
    held = claimed.split() if isinstance(claimed, str) else claimed if isinstance(claimed, list) else []
    return next((role for name, role in settings.roles.items() if name in held), settings.default_role)


def _name(verified: Verified) -> str:
    """The name of a service: no key can have it, nor a service of another issuer."""
    if verified.issuer.trust_domain is not None:
        return verified.subject
    return f"{urlsplit(verified.issuer.issuer).netloc}/{verified.subject}"
