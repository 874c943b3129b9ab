"""Who must agree to an action, and how many: `approvers`, `approved_by` and `delegates` in a rule's metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain import limits
from brain.errors import Conflict, Forbidden, InvalidInput

MOST = 20
"""So many may have to agree at most."""
MAX_TIMEOUT = 30 * 86_400.0
"""Seconds that a request may wait for its answer at most."""
TIMEOUT_REMEDY = "give seconds, above 0 and at most 30 days"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One yes of those that are needed."""

    by: Annotated[str, Meta(description="Who agreed.")]
    place: Annotated[str, Meta(description="For whom it counts: the same, or the one whose delegate agreed.")]
    reason: Annotated[str, Meta(description="What that one said.")]
    at: Annotated[float, Meta(description="When, in Unix seconds.")]


class Approvers(msgspec.Struct, frozen=True, kw_only=True):
    """Who must agree."""

    needed: Annotated[int, Meta(description="How many different ones must agree.")] = 1
    named: Annotated[tuple[str, ...], Meta(description="Who alone may agree; empty: whoever may approve.")] = ()
    delegates: Annotated[dict[str, tuple[str, ...]], Meta(description="Who may agree in the place of whom.")] = {}

    def __hash__(self) -> int:
        """By how many and who."""
        return hash((self.needed, self.named))

    def place_of(self, who: str, grants: Sequence[Grant]) -> str:
        """For whom a yes of `who` counts. Raises Forbidden for one who may not agree, Conflict for a second yes."""
        filled = {grant.place for grant in grants}
        if who in filled or any(grant.by == who for grant in grants):
            raise Conflict(f"{who} has agreed already; another one must agree, too")
        if not self.named or who in self.named:
            return who
        places = [name for name in self.named if who in self.delegates.get(name, ()) and name not in filled]
        if not places:
            raise Forbidden(f"{who} may not agree to this; {', '.join(self.named)}, or their delegates, may")
        return places[0]


def approvers_of(metadata: Mapping[str, Any]) -> Approvers:
    """What a rule's metadata says of it. Raises InvalidInput, as for a rule of an earlier release: then nothing is let
    through.
    """
    if faults := _approver_faults(metadata):
        raise InvalidInput("; ".join(f"{fault}; change the rule" for fault in faults), faults)
    delegates = metadata.get("delegates", {})
    return Approvers(
        needed=metadata.get("approvers", 1),
        named=tuple(metadata.get("approved_by", ())),
        delegates={str(name): tuple(others) for name, others in delegates.items()},
    )


def approval_faults(metadata: Mapping[str, Any]) -> list[str]:
    """What is wrong with what a new rule's metadata says of approvals: whether one is needed, by whom, in what time."""
    faults = []
    if not isinstance(asks := metadata.get("requires_approval", False), bool):
        faults.append(f"requires_approval: {limits.shown(asks)} is not true or false")
    if not is_timeout(timeout := metadata.get("approval_timeout", MAX_TIMEOUT)):
        faults.append(f"approval_timeout: {limits.shown(timeout)} is out of bounds; {TIMEOUT_REMEDY}")
    return faults + _approver_faults(metadata)


def is_timeout(value: object) -> bool:
    """Whether a request for an approval may wait so long."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MAX_TIMEOUT


def _approver_faults(metadata: Mapping[str, Any]) -> list[str]:
    faults = []
    needed, named = metadata.get("approvers", 1), metadata.get("approved_by", ())
    delegates = metadata.get("delegates", {})
    if type(needed) is not int or not 1 <= needed <= MOST:
        faults.append(f"approvers: {limits.shown(needed)} is not a number from 1 to {MOST}")
    if not _are_names(named):
        faults.append("approved_by: is not a list of names")
    if not isinstance(delegates, Mapping) or not all(map(_are_names, delegates.values())):
        faults.append("delegates: is not an object of a list of names for each name")
    if not faults and named and needed > len(set(named)):
        faults.append(f"approvers: {needed} must agree, and approved_by names only {len(set(named))}")
    return faults


def _are_names(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) and name for name in value)
