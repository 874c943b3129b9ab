"""A named key as it is stored. Times are Unix seconds."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from brain.charter import Principal
from brain.charter.principal import Kind


class Role(StrEnum):
    """What a key is for; roles.json says what each may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    EVALUATOR = "evaluator"
    REPORTER = "reporter"
    METRICS = "metrics"


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """What the key was before a rotation, and until when it still counts."""

    digest: str
    until: float


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A named key; the key itself is not kept."""

    name: str
    kind: Kind
    role: Role
    digest: str
    begins: str
    """Its first 8 letters, to know it by."""
    created_at: float
    agents: tuple[str, ...] = ()
    """The agents that an evaluator may ask for."""
    created_by: str | None = None
    owner: str | None = None
    """The person whose key it is, by the name that log-ins, rules and links have."""
    expires_at: float | None = None
    revoked_at: float | None = None
    former: tuple[Former, ...] = ()

    @property
    def use(self) -> str:
        """What its last use is noted by."""
        return f"key {self.name}"

    def __hash__(self) -> int:
        """By its name."""
        return hash(self.name)

    def fault(self, digest: str, now: float) -> str | None:
        """Why a request with this digest is not let in; None when it is."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"
        if digest != self.digest and all(one.digest != digest or now >= one.until for one in self.former):
            return "rotated"
        return None

    def principal(self, how: str, address: str | None) -> Principal:
        """Who acts with it."""
        agents = frozenset(self.agents) if self.role is Role.EVALUATOR else None
        return Principal(
            name=self.name,
            kind=self.kind,
            how=how,
            address=address,
            role=self.role,
            agents=agents,
            owner=self.owner,
        )
