"""The events of keys and of refused requests."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

By = Annotated[str | None, Meta(description="Who did it; null: nobody said.")]


class AboutKey(TypedDict):
    """The keys of all events about a key."""

    name: Annotated[str, Meta(description="The key's name.")]
    role: Annotated[str, Meta(description="What it may do.")]
    by: By


class KeyCreated(AboutKey):
    """A key was made."""

    kind: Annotated[str, Meta(description="person, agent or service.")]
    agents: Annotated[list[str], Meta(description="The agents that an evaluator may ask for; empty for others.")]
    expires_at: Annotated[float | None, Meta(description="Until when it counts, in Unix seconds; null: for good.")]
    owner: Annotated[str | None, Meta(description="The person whose key it is; null: nobody's.")]


class KeyRotated(AboutKey):
    """A key was replaced by a new one of the same name."""

    former_until: Annotated[float, Meta(description="Until when the former key still counts, in Unix seconds.")]
    owner: NotRequired[Annotated[str | None, Meta(description="The person whose key it is; null: nobody's.")]]


class AboutAgent(TypedDict):
    """The keys of all events about a registered agent."""

    agent_id: Annotated[str, Meta(description="The agent's id.")]
    keyid: Annotated[str, Meta(description="The id of its key: the JWK thumbprint.")]
    by: By


class RequestRefused(TypedDict):
    """A request that its sender may not make; `meta.principal` says who tried."""

    status: Annotated[int, Meta(description="401: not known who it is; 403: this one may not.")]
    reason: Annotated[str, Meta(description="Why.")]
    action: Annotated[str, Meta(description="What was wanted, such as brain.govern.")]
    method: Annotated[str, Meta(description="The request's method.")]
    path: Annotated[str, Meta(description="The request's path, at most 200 letters.")]


_KEY = {"name": "ci", "role": "evaluator", "by": "ada"}

KEY_CREATED: EventType[KeyCreated] = EventType(
    name="access.key_created",
    module="access",
    payload=KeyCreated,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A named key was made",
    example={**_KEY, "kind": "agent", "agents": ["a1"], "expires_at": None, "owner": None},
)
KEY_ROTATED: EventType[KeyRotated] = EventType(
    name="access.key_rotated",
    module="access",
    payload=KeyRotated,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A named key was replaced",
    example={**_KEY, "former_until": 1703087634.5, "owner": None},
)
KEY_REVOKED: EventType[AboutKey] = EventType(
    name="access.key_revoked",
    module="access",
    payload=AboutKey,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A named key no longer counts",
    example=_KEY,
)
REQUEST_REFUSED: EventType[RequestRefused] = EventType(
    name="access.request_refused",
    module="access",
    payload=RequestRefused,
    priority=Priority.HIGH,
    frequency=Frequency.MEDIUM,
    purpose="A request was refused: its key is not known, is over, or may not do this",
    example={
        "status": 401,
        "reason": "the key ci is expired",
        "action": "brain.evaluate",
        "method": "POST",
        "path": "/api/policy/evaluate",
    },
)

_AGENT = {"agent_id": "a1", "keyid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "by": "ada"}

AGENT_REGISTERED: EventType[AboutAgent] = EventType(
    name="access.agent_registered",
    module="access",
    payload=AboutAgent,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="An agent was registered with a key of its own",
    example=_AGENT,
)
AGENT_RETIRED: EventType[AboutAgent] = EventType(
    name="access.agent_retired",
    module="access",
    payload=AboutAgent,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="An agent's key and sessions no longer count",
    example=_AGENT,
)

EVENTS = (KEY_CREATED, KEY_ROTATED, KEY_REVOKED, AGENT_REGISTERED, AGENT_RETIRED, REQUEST_REFUSED)
