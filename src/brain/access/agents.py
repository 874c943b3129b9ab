"""The registered agents in the store. Every change is one write with its event."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from brain.access.agent_models import IS_ID, Agent, check_no_secret, checked_agent_id, token_id
from brain.access.events import AGENT_REGISTERED, AGENT_RETIRED, AboutAgent
from brain.access.http_signatures import key_id
from brain.access.repository import doer
from brain.access.spiffe import SPIFFE, lowered
from brain.access.uses import last_uses
from brain.errors import Conflict, InvalidInput, NotFound
from brain.store import Document, DocumentChange, Store
from brain.stream.announcer import EventDraft, write_announced
from brain.stream.publisher import Publisher
from brain.typed import ready

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

COLLECTION = "access.agents"
KEYS = "access.agent_keys"
"""Which agent has, or had, the key of this id: two that are registered at the same time cannot both have it."""
SECRETS = "access.secrets"
SESSIONS = "agent sessions"
"""The key in `SECRETS` of what signs sessions of agents."""
MAX_AGENTS = 10_000


class Agents:
    """Registered agents; methods raise Unavailable when the store does not answer."""

    def __init__(self, store: Store, stream: Publisher | None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._stream = stream
        self._clock = clock

    def list(self) -> list[Agent]:
        """All agents, those that are retired too, by id."""
        return read_agents(self._store.scan(COLLECTION))

    def last_uses(self) -> Mapping[str, float]:
        """When each agent last proved itself, in Unix seconds, by its id; those that never did are left out."""
        return {name[6:]: at for name, at in last_uses(self._store).items() if name.startswith("agent ")}

    def register(self, agent_id: str, public_key: str, by: str | None = None) -> Agent:
        """Register an agent under the key, given as PEM or as its 32 bytes in base64; a retired id may be used again.

        Raises InvalidInput, naming the field, and Conflict for an id or key that is in use.
        """
        raw = read_public_key(public_key)
        agent = Agent(
            id=checked_agent_id(agent_id),
            public_key=raw,
            keyid=key_id(raw),
            registered_at=self._clock(),
            registered_by=doer(by),
        )
        return self._register(agent, "public_key: an agent has or had this key; make a new one for each agent", by)

    def register_by_issuer(self, agent_id: str, issuer: str, subject: str, by: str | None = None) -> Agent:
        """Register an agent that tokens of this issuer prove, which call it `subject` (its `sub`, a SPIFFE URI).

        Raises as `register`.
        """
        for field, text in (("issuer", issuer), ("subject", subject)):
            if not IS_ID(text):
                raise InvalidInput(f"{field}: takes 1 to 200 visible ASCII letters, as the tokens have them")
            check_no_secret(field, text)
        issuer, subject = lowered(issuer), lowered(subject)
        if not issuer.startswith(("https://", "http://", SPIFFE)):
            raise InvalidInput(f"issuer: {issuer!r} must be a URL, or spiffe:// and a trust domain")
        agent = Agent(
            id=checked_agent_id(agent_id),
            keyid=token_id(issuer, subject),
            issuer=issuer,
            subject=subject,
            registered_at=self._clock(),
            registered_by=doer(by),
        )
        return self._register(agent, "subject: an agent of this issuer has or had it", by)

    def _register(self, agent: Agent, taken: str, by: str | None) -> Agent:
        known = self.list()
        owner = self._store.get(KEYS, agent.keyid)
        owners = {one.id for one in known if one.keyid == agent.keyid} | ({owner.data.decode()} if owner else set())
        if owners and (agent.public_key or owners != {agent.id}):
            raise Conflict(taken)
        if len(known) >= MAX_AGENTS:
            raise Conflict(f"agents: there are {MAX_AGENTS} already, which is the most")
        document = self._store.get(COLLECTION, agent.id)
        if document is not None and _read(document).retired_at is None:
            raise Conflict(f"agent {agent.id!r} is registered already; retire it first")
        self._make_secret()
        own = DocumentChange(KEYS, agent.keyid, agent.id.encode(), owner.version if owner else 0)
        event = EventDraft(AGENT_REGISTERED, _about(agent, by))
        try:
            self._write(agent, document.version if document else 0, event, own)
        except Conflict as error:
            raise Conflict(
                f"agent {agent.id!r}: it, or one with its key, was registered just now; look again"
            ) from error
        return agent

    def retire(self, agent_id: str, by: str | None = None) -> Agent:
        """The agent's key and sessions no longer count. Raises NotFound; nothing happens a second time."""
        document = self._store.get(COLLECTION, agent_id) if agent_id else None
        if document is None:
            raise NotFound(f"there is no agent {agent_id[:100]!r}; `brain agents registered` lists them")
        agent = _read(document)
        if agent.retired_at is not None:
            return agent
        retired = msgspec.structs.replace(agent, retired_at=self._clock())
        self._write(retired, document.version, EventDraft(AGENT_RETIRED, _about(agent, by)))
        return retired

    def session_secret(self) -> bytes:
        """What signs sessions. Raises NotFound while no agent was registered."""
        document = self._store.get(SECRETS, SESSIONS)
        if document is None:
            raise NotFound("there are no agents; register one by `brain agents register`")
        return document.data

    def _make_secret(self) -> None:
        if self._store.get(SECRETS, SESSIONS) is None:
            try:
                self._store.put(SECRETS, SESSIONS, secrets.token_bytes(32), expected=0)
            except Conflict:
                return  # another process has made it just now

    def _write(self, agent: Agent, expected: int, draft: EventDraft[AboutAgent], *more: DocumentChange) -> None:
        change = DocumentChange(COLLECTION, agent.id, msgspec.json.encode(agent), expected)
        write_announced(self._store, self._stream, [change, *more], [draft])


def read_agents(documents: Sequence[Document]) -> list[Agent]:
    """The agents in these documents of the store."""
    return [_read(document) for document in documents]


def read_public_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 public key, given as PEM or in base64. Raises InvalidInput."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    try:
        if text.lstrip().startswith("-----"):
            key = load_pem_public_key(text.encode())
            if isinstance(key, Ed25519PublicKey):
                return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        elif len(raw := b64decode(text.strip(), validate=True)) == 32:
            Ed25519PublicKey.from_public_bytes(raw)
            return raw
    except (ValueError, UnsupportedAlgorithm):
        pass  # the same answer as for a key of another kind
    raise InvalidInput("public_key: is no Ed25519 public key; give it as PEM, or its 32 bytes in base64")


def loaded(agent: Agent) -> Ed25519PublicKey:
    """The agent's key, to verify with."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(agent.public_key)


def _read(document: Document) -> Agent:
    return msgspec.json.decode(document.data, type=ready(Agent))


def _about(agent: Agent, by: str | None) -> AboutAgent:
    return {"agent_id": agent.id, "keyid": agent.keyid, "by": doer(by)}
