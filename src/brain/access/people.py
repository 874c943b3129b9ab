"""People who logged in by a provider: their log-ins under way and their sessions, in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from brain.access.key_form import digest_of
from brain.access.models import Role
from brain.access.oidc import LoginRefused, new_secret
from brain.access.settings import OidcSettings
from brain.charter import Principal
from brain.charter.principal import SHARED_KEY
from brain.errors import Conflict
from brain.store import Document, Store
from brain.typed import ready
from brain.unreadable import read_or_none

SESSIONS = "access.sessions"
LOGINS = "access.logins"
LOGIN_SECONDS = 600.0
"""How long a person may take at the provider."""
TOUCH_SECONDS = 60.0
MOST = 100_000


class Login(msgspec.Struct, frozen=True):
    """A log-in under way."""

    nonce: str
    verifier: str
    redirect: str
    ends_at: float


class PersonSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a person. Times are Unix seconds."""

    name: str
    subject: str
    role: str
    begun_at: float
    seen_at: float
    ends_at: float

    def principal(self, address: str | None, how: str = "oidc") -> Principal:
        """Who acts with it."""
        return Principal(name=self.name, kind="person", how=how, address=address, role=self.role)


_login = msgspec.json.Decoder(ready(Login)).decode
_session = msgspec.json.Decoder(ready(PersonSession)).decode


def _read_session(document: Document) -> PersonSession | None:
    return read_or_none(SESSIONS, document.key, document.data, _session)


class People:
    """Log-ins and sessions of one store. Methods block, and raise Unavailable. `clock` gives Unix seconds."""

    def __init__(self, store: Store, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._store = store
        self._settings = settings

    def begin(self, redirect: str) -> tuple[str, Login]:
        """A log-in under way, and the state that its answer must bring."""
        state = new_secret()
        login = Login(new_secret(), new_secret(), redirect, self.clock() + LOGIN_SECONDS)
        self._store.put(LOGINS, digest_of(state), msgspec.json.encode(login), expected=0)
        return state, login

    def take(self, state: str) -> Login | None:
        """The log-in under way of this state, once; None when it is over or was never begun."""
        found = self._store.get(LOGINS, digest_of(state))
        try:
            if found is None or not self._store.delete(LOGINS, found.key, expected=found.version):
                return None
        except Conflict:
            return None
        login = read_or_none(LOGINS, found.key, found.data, _login)
        return login if login is not None and self.clock() < login.ends_at else None

    def open(self, claims: Mapping[str, Any]) -> tuple[str, PersonSession]:
        """A session for whom these claims are of, and its token. Raises LoginRefused for one who has no role here."""
        now = self.clock()
        session = PersonSession(
            name=self._name(claims),
            subject=str(claims["sub"]),
            role=self._role(claims),
            begun_at=now,
            seen_at=now,
            ends_at=now + self._settings.session_hours * 3600,
        )
        if len(self._store.scan(SESSIONS, limit=MOST)) >= MOST:
            raise Conflict(f"there are {MOST} sessions already, which is the most")
        token = new_secret()
        self._store.put(SESSIONS, digest_of(token), msgspec.json.encode(session), expected=0)
        return token, session

    def find(self, digest: str) -> PersonSession | None:
        """The session; None when it is over. That it was seen is written at most once a minute."""
        document = self._store.get(SESSIONS, digest)
        if document is None:
            return None
        session, now = _read_session(document), self.clock()
        if session is None or self.is_over(session):
            self._store.delete(SESSIONS, digest)
            return None
        if now - session.seen_at >= TOUCH_SECONDS:
            session = msgspec.structs.replace(session, seen_at=now)
            try:
                self._store.put(SESSIONS, digest, msgspec.json.encode(session), expected=document.version)
            except Conflict:
                return self.find(digest)  # another has written it, or ended it
        return session

    def is_over(self, session: PersonSession) -> bool:
        """Whether its time is over, or it was idle for too long."""
        now = self.clock()
        return now >= session.ends_at or now - session.seen_at > self._settings.idle_minutes * 60

    def list(self) -> list[PersonSession]:
        """All sessions that are not over."""
        found = [_read_session(document) for document in self._store.scan(SESSIONS)]
        return [session for session in found if session is not None and not self.is_over(session)]

    def end(self, digest: str) -> None:
        """End one session."""
        self._store.delete(SESSIONS, digest)

    def end_all(self, name: str) -> int:
        """End all sessions of a person; how many there were."""
        ended = 0
        for document in self._store.scan(SESSIONS):
            session = _read_session(document)
            if session is not None and session.name == name:
                ended += self._store.delete(SESSIONS, document.key)
        return ended

    def sweep(self) -> None:
        """Delete what is over, and what cannot be read: it lets nobody in."""
        for document in self._store.scan(LOGINS):
            login = read_or_none(LOGINS, document.key, document.data, _login)
            if login is None or self.clock() >= login.ends_at:
                self._store.delete(LOGINS, document.key)
        for document in self._store.scan(SESSIONS):
            session = _read_session(document)
            if session is None or self.is_over(session):
                self._store.delete(SESSIONS, document.key)

    def _name(self, claims: Mapping[str, Any]) -> str:
        claim = self._settings.name_claim
        name = claims.get(claim)
        if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable() or name == SHARED_KEY:
            raise LoginRefused(f"the provider says no {claim} of this person that could be a name")
        if claim == "email" and claims.get("email_verified") is False:
            raise LoginRefused("the provider has not verified the email of this person")
        return name

    def _role(self, claims: Mapping[str, Any]) -> str:
        """The first role of the settings that one of the person's groups has; else the default."""
        given = claims.get(self._settings.groups_claim)
        groups = {given} if isinstance(given, str) else set(map(str, given)) if isinstance(given, list) else set()
        role = next((role for group, role in self._settings.roles.items() if group in groups), None)
        found = role or self._settings.default_role
        if found is None:
            raise LoginRefused("none of the groups of this person has a role here; see roles in [access.oidc]")
        return Role(found).value
