"""The named keys in the store. Every change is one write with its event."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

import msgspec

from brain import limits
from brain.access.agent_models import check_name, check_no_secret
from brain.access.events import KEY_CREATED, KEY_REVOKED, KEY_ROTATED, AboutKey, KeyCreated, KeyRotated
from brain.access.key_form import digest_of, new_key
from brain.access.models import Former, Key, Role
from brain.access.uses import last_uses
from brain.charter import current_principal
from brain.charter.principal import Kind
from brain.errors import Conflict, InvalidInput, NotFound
from brain.store import Document, DocumentChange, Store
from brain.stream.announcer import EventDraft, write_announced
from brain.stream.publisher import Publisher
from brain.typed import ready

COLLECTION = "access.keys"
MAX_KEYS = 10_000
OVERLAP = 3600.0
"""Seconds that a former key still counts after a rotation, unless asked otherwise."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}").fullmatch


class NewKey(NamedTuple):
    """A key as it is shown once: `secret` is not kept."""

    key: Key
    secret: str


class KeyTerms(TypedDict, total=False):
    """What a key may have besides its name and role."""

    kind: Kind | None
    agents: Sequence[str]
    """The agents that an evaluator may ask for."""
    lifetime: float | None
    """Seconds until it expires; None: it does not."""
    owner: str | None
    """The person whose key it is, by the name that a log-in of this person has."""


class Keys:
    """Named keys; methods raise Unavailable when the store does not answer."""

    def __init__(self, store: Store, stream: Publisher | None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._stream = stream
        self._clock = clock

    def list(self) -> list[Key]:
        """All keys, those that are over too, by name."""
        return [_read(document) for document in self._store.scan(COLLECTION)]

    def last_uses(self) -> Mapping[str, float]:
        """When each key was last used, in Unix seconds, by its name; those never used are left out."""
        return {name[4:]: at for name, at in last_uses(self._store).items() if name.startswith("key ")}

    def new(self, name: str, role: str, *, by: str | None = None, **terms: Unpack[KeyTerms]) -> NewKey:
        """Make a key.

        Raises InvalidInput, naming the field, and Conflict when the name is in use; names of revoked keys stay theirs.
        """
        wanted, lifetime = checked_role(name, role, terms), terms.get("lifetime")
        now = self._clock()
        if len(self._store.scan(COLLECTION, limit=MAX_KEYS)) >= MAX_KEYS:
            raise Conflict(f"keys: there are {MAX_KEYS} already, which is the most")
        secret = new_key()
        key = Key(
            name=name,
            kind=terms.get("kind") or ("agent" if wanted is Role.EVALUATOR else "service"),
            role=wanted,
            digest=digest_of(secret),
            begins=secret[:8],
            created_at=now,
            agents=tuple(terms.get("agents", ())),
            created_by=doer(by),
            expires_at=None if lifetime is None else now + lifetime,
            owner=terms.get("owner"),
        )
        payload: KeyCreated = {
            **_about(key, by),
            "kind": key.kind,
            "agents": list(key.agents),
            "expires_at": key.expires_at,
            "owner": key.owner,
        }
        draft = EventDraft(KEY_CREATED, payload)
        try:
            self._write(key, 0, draft)
        except Conflict:
            raise Conflict(f"key {name!r} exists already; rotate it, or take another name") from None
        return NewKey(key, secret)

    def rotate(self, name: str, overlap: float = OVERLAP, by: str | None = None, owner: str | None = None) -> NewKey:
        """A new key of this name; the former one counts for `overlap` more seconds. An `owner` is of both from now on.

        Raises NotFound, InvalidInput, naming the field, and Conflict for a key that was revoked.
        """
        check_owner(owner)
        if not 0 <= overlap <= 30 * 86_400:
            raise InvalidInput(f"overlap: {overlap!r} is out of bounds; give seconds, at most 30 days")
        document, key = self._found(name)
        if key.revoked_at is not None:
            raise Conflict(f"key {name!r} was revoked; make a new one")
        secret, until = new_key(), self._clock() + overlap
        former = (*key.former, Former(digest=key.digest, until=until))[-20:]
        rotated = msgspec.structs.replace(
            key, digest=digest_of(secret), begins=secret[:8], former=former, owner=owner or key.owner
        )
        payload: KeyRotated = {**_about(key, by), "former_until": until, "owner": rotated.owner}
        self._write(rotated, document.version, EventDraft(KEY_ROTATED, payload))
        return NewKey(rotated, secret)

    def revoke(self, name: str, by: str | None = None) -> Key:
        """The key no longer counts, from now on and for good. Raises NotFound; nothing happens a second time."""
        document, key = self._found(name)
        if key.revoked_at is not None:
            return key
        revoked = msgspec.structs.replace(key, revoked_at=self._clock())
        self._write(revoked, document.version, EventDraft(KEY_REVOKED, _about(key, by)))
        return revoked

    def _found(self, name: str) -> tuple[Document, Key]:
        document = self._store.get(COLLECTION, name) if name else None
        if document is None:
            raise NotFound(f"there is no key {name[:100]!r}; `brain keys list` lists them")
        return document, _read(document)

    def _write(self, key: Key, expected: int, draft: EventDraft[Any]) -> None:
        change = DocumentChange(COLLECTION, key.name, msgspec.json.encode(key), expected)
        write_announced(self._store, self._stream, [change], [draft])


def read_keys(documents: Sequence[Document]) -> list[Key]:
    """The keys in these documents of the store."""
    return [_read(document) for document in documents]


def _read(document: Document) -> Key:
    return msgspec.json.decode(document.data, type=ready(Key))


def _about(key: Key, by: str | None) -> AboutKey:
    return {"name": key.name, "role": key.role.value, "by": doer(by)}


def doer(by: str | None) -> str | None:
    """Who does it: whoever acts here, where a key proves it; else who is said to."""
    who = current_principal()
    return who.name if who is not None and who.how != "none" else by


def _role(role: str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise InvalidInput(f"role: {role[:50]!r} is not known; there are {', '.join(Role)}") from None


def checked_role(name: str, role: str, terms: KeyTerms) -> Role:
    """The role of a key to be made. Raises InvalidInput, naming the field, for what no key may have."""
    wanted = _role(role)
    agents, lifetime, owner = terms.get("agents", ()), terms.get("lifetime"), terms.get("owner")
    if not _NAME(name):
        raise InvalidInput("name: takes 1 to 64 letters, digits, and . _ @ - after the first")
    check_name("name", name)
    if (wanted is Role.EVALUATOR) != bool(agents):
        need = "needs the agents that it may ask for" if wanted is Role.EVALUATOR else "takes none; only evaluator does"
        raise InvalidInput(f"agents: role {wanted} {need}")
    if len(agents) > 1000 or any(not one or len(one) > limits.TEXT for one in agents):
        raise InvalidInput(f"agents: takes at most 1000 ids, each of 1 to {limits.TEXT} letters")
    for agent in agents:
        check_no_secret("agents", agent)
    if lifetime is not None and not 0 < lifetime <= 100 * 365 * 86_400:
        raise InvalidInput(f"lifetime: {lifetime!r} is out of bounds; give seconds, above 0 and at most 100 years")
    check_owner(owner)
    return wanted


def check_owner(owner: str | None) -> None:
    """Raises InvalidInput for what names no person."""
    if owner is None:
        return
    if not 0 < len(owner) <= 200 or not owner.isprintable() or owner.strip() != owner:
        raise InvalidInput("owner: takes 1 to 200 printable letters: the name that this person's log-in has")
    check_name("owner", owner)
