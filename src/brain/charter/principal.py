"""Who acts: the person, agent or service that the events made here and now are the doing of."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import msgspec

from brain.charter.context import CURRENT

Kind = Literal["person", "agent", "service"]


SHARED_KEY = "BRAIN_API_KEY"
"""The name of whoever uses the key of the settings: that may be anybody of a team."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something. A server sets it for each request; `acting` sets it in a program.

    `how` says what proves the name: `key`, `session`, `token`, `signature`, `signed session`, `token with dpop` and
    `spiffe-x509` (of a registered agent), `link` (of a person who approves), `process` (the program itself says so), or
    `none`.
    """

    name: str
    kind: Kind = "service"
    how: str = "process"
    address: str | None = None
    """The network address that the request came from."""
    role: str | None = None
    agents: Container[str | None] | None = None
    """The agents that it may ask decisions for; None: any."""
    proves: str | None = None
    """The id of the registered agent that it has proven to be."""
    keyid: str | None = None
    """The key of that agent, as its signature names it."""
    chain: tuple[str, ...] = ()
    """The agents that delegated to it, the first one first, and itself; empty where nobody did."""
    delegated: frozenset[str] = frozenset()
    """The agents that it may ask for by that."""
    owner: str | None = None
    """The person whose key it is."""

    def __hash__(self) -> int:
        """By kind and name."""
        return hash((self.kind, self.name))

    @property
    def is_one(self) -> bool:
        """Whether it is proven, and of one person, agent or service alone."""
        return self.how != "none" and self.name != SHARED_KEY

    @property
    def person(self) -> str:
        """Who answers for it: the owner of the key, else whom it names. A person may have a log-in and several keys."""
        return self.owner or self.name

    def shown(self) -> dict[str, Any]:
        """What events carry as `meta.principal`."""
        return {"kind": self.kind, "name": self.name, "how": self.how, "address": self.address}


_WHOSE = frozenset({"principal", "on_behalf_of", "delegation"})
_ACTING: ContextVar[Principal | None] = ContextVar("brain_principal", default=None)


@contextmanager
def acting(principal: Principal) -> Iterator[None]:
    """Inside this block every new event carries the principal in its meta, as `principal`.

    Where others delegated to it, also the first of them as `on_behalf_of`, and all of them as `delegation`.
    """
    meta = CURRENT.set({**CURRENT.get(), **_meta_of(principal)})
    who = _ACTING.set(principal)
    try:
        yield
    finally:
        _ACTING.reset(who)
        CURRENT.reset(meta)


class requested_by:  # noqa: N801  (used as a statement; two generators would cost four times as much)
    """`with correlation(id, **trace), acting(principal)` in one, for one `with` statement: for hot paths."""

    __slots__ = ("_meta", "_new", "_principal", "_who")

    def __init__(self, principal: Principal, correlation_id: str, trace: Mapping[str, str]) -> None:
        self._principal = principal
        self._new = {**CURRENT.get(), "correlation_id": correlation_id, **trace, **_meta_of(principal)}

    def __enter__(self) -> None:
        self._meta = CURRENT.set(self._new)
        self._who = _ACTING.set(self._principal)

    def __exit__(self, *_: object) -> None:
        _ACTING.reset(self._who)
        CURRENT.reset(self._meta)


def _meta_of(principal: Principal) -> dict[str, Any]:
    if not principal.chain:
        return {"principal": principal.shown()}
    return {
        "principal": principal.shown(),
        "on_behalf_of": principal.chain[0],
        "delegation": list(principal.chain),
    }


def whose() -> Mapping[str, Any]:
    """Of the meta that new events get, what says whose doing they are: for work that is carried out elsewhere."""
    return {name: value for name, value in CURRENT.get().items() if name in _WHOSE}


def current_principal() -> Principal | None:
    """Who acts here and now; None where nobody said."""
    return _ACTING.get()
