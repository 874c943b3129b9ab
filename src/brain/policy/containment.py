"""Rules of the moment: one agent contained for a time, or everybody stopped by the kill switch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from brain import limits
from brain.charter import Effect
from brain.errors import InvalidInput
from brain.kit.idempotency import digest_of, other_content
from brain.policy.models import CONTAINMENT, KILL_SWITCH, MAX_PRIORITY, TEMPORARY_TAGS, Condition, Rule
from brain.policy.operators import Operator
from brain.redaction import redacted_text

MAX_TTL = 366 * 86_400.0
_MAX_ID = 200
_HASHED = "sha256:"
_REQUEST, _CONTENT = "request", "request_content"


def rule_id_for(agent_id: str) -> str:
    """The id of the rule that contains this agent."""
    rule_id = f"{CONTAINMENT}:{agent_id}"
    plain = "/" not in agent_id and agent_id.isprintable() and agent_id == agent_id.strip()
    if plain and len(rule_id) <= _MAX_ID and not agent_id.startswith(_HASHED):  # which is kept for the others
        return rule_id
    return f"{CONTAINMENT}:{_HASHED}{hashlib.sha256(agent_id.encode(errors='surrogatepass')).hexdigest()}"


def is_measure(rule: Rule) -> bool:
    """Whether it is a measure as this module makes them, not only something under the id of one."""
    tag = KILL_SWITCH if rule.id == KILL_SWITCH else CONTAINMENT
    return rule.is_temporary and rule.effect is Effect.DENY and tag in rule.tags and rule.priority == MAX_PRIORITY


def reserved(rule: Rule) -> list[str]:
    """The faults of a rule that takes the id or a tag of measures: each names the field and what to use instead."""
    faults = []
    if rule.is_temporary:
        faults.append(reserved_id(rule.id))
    for tag in sorted(TEMPORARY_TAGS.intersection(rule.tags)):
        faults.append(f"tags: {rule.id!r} has the tag {tag!r}, which is kept for {_MADE_BY[tag]}; take another tag")
    return faults


def reserved_id(rule_id: str) -> str:
    """The fault of a change to what is kept for measures."""
    kind = KILL_SWITCH if rule_id == KILL_SWITCH else CONTAINMENT
    return f"id: {rule_id!r} is kept for {_MADE_BY[kind]}; rules have other ids"


_MADE_BY = {
    CONTAINMENT: "containments, which `brain policy contain` makes and `brain policy lift` ends",
    KILL_SWITCH: "the kill switch, which `brain policy kill-switch on` and `off` work",
}


def containment_rule(agent_id: str, ttl: float, reason: str, by: str | None, now: float) -> Rule:
    """The rule that denies `agent_id` everything for `ttl` seconds from `now`. Raises InvalidInput."""
    if not isinstance(agent_id, str) or not agent_id:
        raise InvalidInput(f"agent_id: {agent_id!r} is not an agent's id; give a text that is not empty")
    return Rule(
        id=rule_id_for(agent_id),
        name=f"Containment of {agent_id}"[:500],
        effect=Effect.DENY,
        conditions=[Condition("agent_id", Operator.EQ, agent_id)],
        priority=MAX_PRIORITY,
        description=_reason(reason),
        metadata={"agent_id": agent_id, "since": now, **_by(by)},
        tags=[CONTAINMENT],
        expires_at=now + _ttl(ttl),
    )


def keyed(rule: Rule, key: str | None, content: str) -> Rule:
    """The measure with what tells the request that makes it, and its content. Raises InvalidInput for a bad key."""
    if key is None:
        return rule
    return replace(rule, metadata={**rule.metadata, _REQUEST: digest_of("containment", key)[:32], _CONTENT: content})


def made_by_key(old: Rule, new: Rule) -> bool:
    """Whether the request that makes `new` has made `old` already. Raises Conflict when it was of other content."""
    if _REQUEST not in new.metadata or old.metadata.get(_REQUEST) != new.metadata[_REQUEST]:
        return False
    if old.metadata.get(_CONTENT) != new.metadata[_CONTENT]:
        raise other_content(f"containment {old.id}")
    return True


def longer_of(old: Rule | None, new: Rule, now: float) -> Rule:
    """The new containment, which ends no sooner than the old one if that is in force: only `lift` ends one early."""
    if old is None or not (is_measure(old) and old.active_at(now)) or old.expires_at is None:
        return new
    return replace(new, expires_at=max(old.expires_at, new.expires_at or 0.0))


def kill_switch_rule(allow: Iterable[str], ttl: float | None, reason: str, by: str | None, now: float) -> Rule:
    """The rule that denies everything to every agent that is not in `allow`. Raises InvalidInput."""
    allowed = [] if isinstance(allow, str) else list(allow)
    if isinstance(allow, str) or not all(isinstance(agent_id, str) and agent_id for agent_id in allowed):
        raise InvalidInput(f"allow: {allow!r:.200} is not a list of agents' ids; give a list of texts")
    return Rule(
        id=KILL_SWITCH,
        name="Kill switch",
        effect=Effect.DENY,
        conditions=[Condition("agent_id", Operator.NE, agent_id) for agent_id in allowed],
        priority=MAX_PRIORITY,
        description=_reason(reason),
        metadata={"allow": allowed, "since": now, **_by(by)},
        tags=[KILL_SWITCH],
        expires_at=None if ttl is None else now + _ttl(ttl),
    )


def _ttl(ttl: float) -> float:
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 < ttl <= MAX_TTL:
        raise InvalidInput(f"ttl: {ttl!r} is out of bounds; give seconds, above 0 and at most a year")
    return float(ttl)


def _by(by: str | None) -> dict[str, str]:
    if (fault := limits.text_fault(by, limits.ID)) is not None:
        raise InvalidInput(f"by: {fault}")
    return {"by": by} if by else {}


def _reason(reason: str) -> str:
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidInput("reason: is empty; give the reason, which every denial shows")
    if (fault := limits.text_fault(reason, limits.TEXT)) is not None:
        raise InvalidInput(f"reason: {fault}")
    return redacted_text(reason)
