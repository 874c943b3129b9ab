"""A limit or a breaker as a rule of the store: it denies for a time, so every guard obeys it at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from brain.charter import Effect
from brain.errors import InvalidInput
from brain.kit.protocols import CALL_FIELDS
from brain.policy.models import Condition, Rule
from brain.policy.operators import Operator

BREAKER: Final = "breaker"
LIMIT: Final = "limit"
PRIORITY: Final = 900_000

_MAX_ID = 180


def breaker_id(name: str) -> str:
    """The id of the rule of the breaker with that name."""
    return f"{BREAKER}-{_clean(name)}"


def limit_id(name: str, agent: str = "") -> str:
    """The id of the rule that limits that name, or that agent alone."""
    return f"{LIMIT}-{_clean(f'{name}-{agent}' if agent else name)}"


def _clean(text: str) -> str:
    if not text:
        raise InvalidInput("name: it is empty; give the name of what is protected")
    if len(text) <= _MAX_ID and text.isprintable() and "/" not in text and text == text.strip():
        return text
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"


def breaker_rule(
    name: str, about: Mapping[str, str], until: float, reason: str, more: Mapping[str, Any] | None = None
) -> Rule:
    """The rule of an open breaker: it denies what `about` names until then. Raises InvalidInput."""
    return Rule(
        id=breaker_id(name),
        name=f"Circuit breaker {name}",
        effect=Effect.DENY,
        priority=PRIORITY,
        conditions=_about(BREAKER, name, about),
        description=reason,
        tags=[BREAKER],
        expires_at=until,
        metadata={BREAKER: name, "state": "open", **(more or {})},
    )


def limit_rule(name: str, calls: int, window: str, until: float, reason: str, about: Mapping[str, str]) -> Rule:
    """The rule of a limit: it denies what `about` names beyond so many calls in a window. Raises InvalidInput."""
    if calls < 0 or window not in ("minute", "hour", "day"):
        raise InvalidInput(f"limit {name}: {calls} calls a {window!r}; give 0 or more calls a minute, hour or day")
    field = f"usage.tool.calls.{window}" if "action" in about else f"usage.calls.{window}"
    conditions = [*_about(LIMIT, name, about), Condition(field, Operator.GT, calls - 1)]
    return Rule(
        id=limit_id(name, about.get("agent_id", "")),
        name=f"Rate limit {name}",
        effect=Effect.DENY,
        priority=PRIORITY,
        conditions=conditions,
        description=reason,
        tags=[LIMIT],
        expires_at=until,
        metadata={LIMIT: name, "calls": calls, "window": window},
    )


def _about(kind: str, name: str, about: Mapping[str, str]) -> Sequence[Condition]:
    """The conditions on what is refused; where nothing is named, one that only decorated calls could meet."""
    named = [Condition(field, Operator.EQ, about[field]) for field in CALL_FIELDS if field in about]
    return named or [Condition(kind, Operator.EQ, name)]
