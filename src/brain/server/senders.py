"""Who sends a request: by an agent's signature or session, by a key or token, or by a browser's session."""

from __future__ import annotations

from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from brain.access.agent_models import SIGNATURE, token_id
from brain.access.agent_sessions import PREFIX as AGENT_SESSION
from brain.access.delegation import HEADER as DELEGATION
from brain.access.dpop import HEADER, SCHEME, Request
from brain.access.key_form import digest_of
from brain.access.models import Key
from brain.access.spiffe import SPIFFE
from brain.access.token_issuers import looks_like_token
from brain.access.x509_svid import CERTIFICATE, Peer
from brain.charter import Principal
from brain.server.known_keys import KnownKeys
from brain.server.known_tokens import BOUND, TOKEN, KnownTokens
from brain.server.people import KnownPeople
from brain.server.sessions import Sessions
from brain.server.signed_requests import Proof, SignedRequests, raw_path
from brain.server.tls import PEER


class Senders:
    """Knows the senders of one server."""

    def __init__(
        self,
        keys: KnownKeys,
        signed: SignedRequests,
        people: KnownPeople,
        tokens: KnownTokens,
        *,
        certificates: bool = False,
    ) -> None:
        """`certificates` says whether client certificates prove agents."""
        self.keys = keys
        self._certificates = certificates
        self._people = people
        self._tokens = tokens
        self._agents = signed.agents
        self._signed = signed
        self._sessions = Sessions(keys)

    @property
    def guarded(self) -> bool:
        """Whether requests need a sender: there is a key, or was one, or a provider, issuer or authority knows some."""
        return self._people.is_on or self._tokens.is_on or self._certificates or self.keys.guarded

    async def prove(self, scope: Scope, receive: Receive) -> Proof:
        """What the signature of a request proves."""
        return await self._signed.prove(scope, receive)

    async def sender(
        self, scope: Scope, headers: Headers, address: str | None, proof: Proof | None
    ) -> tuple[Principal, str | None]:
        """Who sends it, and why that one is not let in; None when it is.

        Whoever sends a signature that does not count is named by the key that is sent along, and else by nothing.
        """
        if proof is not None and proof.who is not None:
            if proof.fault is None:
                self.keys.uses.note(f"agent {proof.who.name}")
            who, fault = proof.who, proof.fault
        else:
            found, fault = await self._bearer(scope, headers, address)
            who = self._agents.bounded(found)
            fault = fault if proof is None else proof.fault
        links = headers.getlist(DELEGATION)
        if not links or fault is not None:
            return who, fault
        return self._agents.delegated(who, ",".join(links))  # several lines are one list (RFC 9110, 5.3)

    def challenge(self, headers: Headers, fault: str) -> str:
        """`WWW-Authenticate` for a request with these headers that was refused for this."""
        return self._tokens.challenge(headers.get("authorization", "").partition(" ")[0].lower(), fault)

    def remedy(self, headers: Headers, proof: Proof | None) -> str:
        """What whoever sent these headers, and was refused, can do about it."""
        token = headers.get("authorization", "").partition(" ")[2].strip()
        if headers.getlist(DELEGATION):
            return "send links that `brain agents delegate` made for this agent"
        if proof is not None:
            return "sign each request with the private key of a registered agent"
        if token.startswith(AGENT_SESSION):
            return "`brain agents session` gives a new session"
        if self._tokens.is_on and looks_like_token(token):
            return "send a token that an issuer of the settings made for this server"
        return "send a key as 'Authorization: Bearer KEY', or log in at /login"

    async def over(self, who: Principal, scope: Scope, headers: Headers, address: str | None) -> str | None:
        """Why a sender that was let in would not be now; None while it would. For answers that last."""
        if who.how == SIGNATURE:
            return self._agents.over(who)
        if who.how == CERTIFICATE:
            return (await self._certified(scope[PEER](), address))[1]
        if who.how in (TOKEN, BOUND):
            return await self._tokens.over(who, headers.get("authorization", "").partition(" ")[2].strip())
        return (await self.sender(scope, headers, address, None))[1]

    def at_once(self, authorization: str, address: str | None) -> Principal | None:
        """The sender of a request that shows no more than this header ("" for none), and is neither signed nor
        delegated; None where that must be looked for, and for one who is not let in."""
        found = self._known(authorization, address)
        return None if found is None or found[1] is not None else self._agents.bounded(found[0])

    def _known(self, authorization: str, address: str | None) -> tuple[Principal, str | None] | None:
        """Who sends a request with this header, no cookie and no certificate; None where that must be looked for."""
        scheme, _, token = authorization.partition(" ")
        is_bearer = scheme.lower() == "bearer"
        if is_bearer and token.startswith(AGENT_SESSION):
            agent, fault = self._agents.by_session(token.strip(), address)
            if fault is None and agent is not None:
                self.keys.uses.note(f"agent {agent.name}")
            return agent or _nobody(address), fault
        if not self.guarded:
            return _nobody(address), None
        if not is_bearer or (self._tokens.is_on and looks_like_token(token.strip())):
            return None
        digest = _digest_in(authorization) if len(authorization) <= _REMEMBERED else digest_of(token.strip())
        key = self.keys.find(digest)
        return None if key is None else self._of_key(key, digest, "key", address)

    async def _bearer(self, scope: Scope, headers: Headers, address: str | None) -> tuple[Principal, str | None]:
        if len(headers.getlist("authorization")) > 1:
            return _nobody(address), "there is more than one Authorization header"  # a proxy may believe another one
        known = self._known(headers.get("authorization", ""), address)
        if known is not None:
            return known
        scheme, _, token = headers.get("authorization", "").partition(" ")
        is_bearer, is_bound = scheme.lower() == "bearer", scheme.lower() == SCHEME
        if (is_bearer or is_bound) and self._tokens.is_on and looks_like_token(token.strip()):
            bound = self._bound(scope, headers) if is_bound else None
            who, fault = await self._tokens.who(token.strip(), address, bound)
            if fault is None and who.proves is not None:
                self.keys.uses.note(f"agent {who.name}")
            return who, fault
        key: Key | None = None
        if is_bearer:
            how, missing = "key", "the key is not known"
            digest, key = await self.keys.token(token.strip())
        elif PEER in scope and "authorization" not in headers:
            return await self._certified(scope[PEER](), address)
        else:
            how, missing = "session", "there is no key"
            if scheme:  # which may be the key itself, without `Bearer`: it is not shown
                missing = "the Authorization header does not begin with 'Bearer '"
            if self._people.is_on and (person := await self._people.who(headers, address)) is not None:
                return person, None
            digest = self._sessions.digest_in(headers) or ""
            key = self.keys.find(digest)
        if key is None:
            return _nobody(address), missing
        return self._of_key(key, digest, how, address)

    def _of_key(self, key: Key, digest: str, how: str, address: str | None) -> tuple[Principal, str | None]:
        over = key.fault(digest, self.keys.clock())
        if over is not None:
            return key.principal(f"{over} {how}", address), f"the key {key.name} is {over}"
        self.keys.uses.note(key.use)
        return _principal(key, how, address), None

    async def _certified(self, peer: Peer, address: str | None) -> tuple[Principal, str | None]:
        """The agent that the client's certificate proves."""
        if peer.fault is not None:
            return _nobody(address), peer.fault
        agent = await self._agents.find(token_id(f"{SPIFFE}{peer.trust_domain}", peer.id))
        if agent is None:
            return _nobody(address), f"no agent is registered as {peer.id}"
        if agent.retired_at is not None:
            return agent.principal("retired agent", address), f"the agent {agent.id} is retired"
        if self._agents.clock() >= peer.until:
            return agent.principal("expired certificate", address), f"the certificate of {agent.id} is expired"
        self.keys.uses.note(f"agent {agent.id}")
        return agent.principal(CERTIFICATE, address), None

    def _bound(self, scope: Scope, headers: Headers) -> Request:
        """What a DPoP proof of the request must be for."""
        path = raw_path(scope)
        urls = [f"{base}{path}" for base in self._signed.bases(scope, headers.get("host", ""))]
        return Request(scope.get("method", "GET"), headers.getlist(HEADER), urls)


_REMEMBERED = 200
"""Letters of a header whose digest is remembered; those with a key of ours are shorter."""


@lru_cache(maxsize=512)
def _digest_in(authorization: str) -> str:
    """The digest of the token in this header. A key sends the same one with each request; whether it counts is another
    question, asked each time."""
    return digest_of(authorization.partition(" ")[2].strip())


@lru_cache(maxsize=1024)
def _principal(key: Key, how: str, address: str | None) -> Principal:
    """The same object for all requests of one key from one address."""
    return key.principal(how, address)


@lru_cache(maxsize=1024)
def _nobody(address: str | None) -> Principal:
    return Principal(name="anonymous", how="none", address=address)
