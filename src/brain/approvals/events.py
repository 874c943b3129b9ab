"""The events of links. Answers by them are events of the plug-in policy, such as `policy.approval_granted`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority


class LinkMade(TypedDict):
    """A person can answer by a link; the link itself is in no event."""

    approval_id: Annotated[str, Meta(description="The request for approval.")]
    approver: Annotated[str, Meta(description="Who answers by it.")]
    via: Annotated[str, Meta(description="The notifier that sent it; `command`: brain approvals link printed it.")]
    expires_at: Annotated[float, Meta(description="Until when it counts, in Unix seconds.")]


class LinkRefused(TypedDict):
    """An answer, or a made-up link, that does not count; `meta.principal` has the address that it came from."""

    approval_id: Annotated[str | None, Meta(description="The request for approval; null: the link is none of ours.")]
    approver: Annotated[str | None, Meta(description="For whom the link was made; null: it is none of ours.")]
    reason: Annotated[str, Meta(description="Why.")]


_ABOUT = {"approval_id": "apr_1703001234567_9f3ac81b2d40", "approver": "ada"}

LINK_MADE: EventType[LinkMade] = EventType(
    name="approval.link_made",
    module="approvals",
    payload=LinkMade,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A person was given a link to answer a request for approval",
    example={**_ABOUT, "via": "ada-mail", "expires_at": 1703001534.5},
)
LINK_REFUSED: EventType[LinkRefused] = EventType(
    name="approval.link_refused",
    module="approvals",
    payload=LinkRefused,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="An answer by a link does not count",
    example={**_ABOUT, "reason": "it is GRANTED already by bob"},
)

EVENTS = (LINK_MADE, LINK_REFUSED)
