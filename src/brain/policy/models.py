"""Rules, conditions and effects: immutable, and checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from brain import limits
from brain.charter import Effect
from brain.errors import InvalidInput
from brain.limits import is_text
from brain.policy.approvers import approval_faults
from brain.policy.operators import Operator, value_faults
from brain.policy.values import NO_ITEMS, NO_MEMBERS, FrozenDict, FrozenList, freeze, same

MAX_PRIORITY = limits.PRIORITY
MAX_CONDITIONS = limits.CONDITIONS
EVERYONE = "everyone"
"""A key of rules as files and requests write them: `everyone: true` says that the rule has no conditions on purpose."""
CONTAINMENT, KILL_SWITCH = "containment", "kill-switch"
TEMPORARY_TAGS = frozenset({CONTAINMENT, KILL_SWITCH})
"""Tags of measures of the moment, made and ended by `contain`, `lift` and the kill switch; no rule may have them."""

VALUE_BOUNDS = {"x-max-depth": limits.DEPTH, "x-max-bytes": limits.VALUE_BYTES}
"""Bounds of a JSON value, for which JSON Schema has no keywords."""

_SHORT, _FEW = 1_000, 8  # a rule of so few conditions, all but one with values so short, is small enough
_ID = re.compile(rf"[^\s/\x00-\x1f\x7f](?:[^/\x00-\x1f\x7f]{{0,{limits.ID - 2}}}[^\s/\x00-\x1f\x7f])?").fullmatch
_FIELD = re.compile(r"[^.\s\x00-\x1f]+(\.[^.\x00-\x1f]+)*").fullmatch


RESTRICTIVENESS = {Effect.DENY: 0, Effect.AUDIT: 1, Effect.WARN: 2, Effect.ALLOW: 3}
"""Which effect wins between rules of equal priority: the lowest number."""


class Mode(StrEnum):
    """Whether a rule is applied, or only evaluated and recorded."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: `field` (a dotted path into the context), `operator`, `value`.

    Raises InvalidInput when it cannot be compared so, with every fault listed.
    """

    field: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=limits.FIELD,
            pattern=f"^[^.]+(\\.[^.]+){{0,{limits.FIELD_PARTS - 1}}}$",
            description=f"A dotted path into the context, of at most {limits.FIELD_PARTS} parts; `agent.role` is "
            "`agent_role`.",
        ),
    ]
    operator: Annotated[Operator, Meta(description="One of ==, !=, >, <, contains, matches, in.")]
    value: Annotated[Any, Meta(description="What the field is compared with.", extra_json_schema=VALUE_BOUNDS)]

    if TYPE_CHECKING:  # what `__post_init__` takes, which is more than what can be read afterwards

        def __init__(self, field: str, operator: Operator | str, value: Any) -> None: ...

    def __post_init__(self) -> None:
        faults = _field_faults(self.field)
        operator = _member(Operator, self.operator, "operator", faults)
        value = _frozen("value", self.value, faults)
        if operator is not None and not faults:
            faults += value_faults(operator, value)
        if faults:
            raise InvalidInput("the condition is not valid: " + "; ".join(faults), faults)
        object.__setattr__(self, "operator", operator)
        object.__setattr__(self, "value", value)

    def __hash__(self) -> int:
        return hash((self.field, self.operator))

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.value!r}"

    def to_dict(self) -> dict[str, Any]:
        """The condition as plain JSON values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def _field_faults(field: object) -> list[str]:
    if not isinstance(field, str):
        return [f"field: {limits.shown(field)} is not a dotted path such as agent_role or params.amount"]
    if len(field) > limits.FIELD or field.count(".") >= limits.FIELD_PARTS:
        most = f"{limits.FIELD_PARTS} parts or {limits.FIELD:,} characters"
        return [f"field: {limits.shown(field)} has more than {most}; give the value a shorter path"]
    if not _FIELD(field) or not is_text(field):
        return [f"field: {limits.shown(field)} is not a dotted path such as agent_role or params.amount"]
    return []


def _frozen(name: str, value: object, faults: list[str]) -> Any:
    """The value as an immutable copy; None with a fault when it is no JSON value, or beyond a bound."""
    if type(value) is str and len(value) < _SHORT and is_text(value):
        return value  # as nearly all values of conditions are
    if not value and type(value) is dict:
        return NO_ITEMS
    fault = limits.fault_of(value) if not isinstance(value, (set, frozenset)) else None
    if fault is None:
        try:
            return freeze(value)
        except ValueError as error:
            fault = f"{error}; use JSON values"
    faults.append(f"{name}: {fault}")
    return None


@lru_cache(maxsize=10_000)
def _condition(field: str, operator: Operator, value: str) -> Condition:
    return Condition(field, operator, value)


def shared(condition: Condition) -> Condition:
    """One object for equal conditions of many rules, such as those on a role, where its field and value are texts."""
    field, value = condition.field, condition.value
    if type(value) is not str or len(value) >= _SHORT or type(field) is not str:
        return condition
    return _condition(field, condition.operator, value)


def _may_be_large(conditions: Sequence[Condition]) -> bool:
    """Whether so many conditions may make a rule larger than is allowed: else it need not be measured."""
    long = 0
    for one in conditions:
        kind = type(one.value)
        long += len(one.value) >= _SHORT if kind is str else kind in (FrozenList, FrozenDict)
    return long > 1 or len(conditions) > _FEW


def shown_key(key: object) -> str:
    """A key for a message: as it is when it is a text, cut to a line."""
    return key[:200] if isinstance(key, str) else limits.shown(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: when all its conditions hold, its effect is a candidate, and the highest priority decides.

    A rule without conditions matches everything; a file or a request must say so of an ALLOW, by `everyone: true`.
    `not_before` and `expires_at` are Unix seconds; outside of them the rule does not take part. Raises InvalidInput
    with every fault listed.
    """

    id: Annotated[str, Meta(min_length=1, max_length=limits.ID, pattern="^[^/]+$", description="Its id.")]
    name: Annotated[str, Meta(max_length=limits.NAME, description="What people call the rule.")]
    effect: Annotated[Effect, Meta(description="ALLOW, DENY, WARN or AUDIT.")]
    conditions: Annotated[
        Sequence[Condition],
        Meta(max_length=limits.CONDITIONS, description="All must hold; none: the rule always matches."),
    ] = NO_MEMBERS
    priority: Annotated[
        int,
        Meta(
            ge=-limits.PRIORITY,
            le=limits.PRIORITY,
            description="The matching rule with the highest priority decides.",
        ),
    ] = 0
    enabled: Annotated[bool, Meta(description="Whether the rule takes part in decisions.")] = True
    description: Annotated[str, Meta(max_length=limits.TEXT, description="Shown in the reason of its decisions.")] = ""
    metadata: Annotated[
        Mapping[str, Any], Meta(description="Whatever belongs to the rule.", extra_json_schema=VALUE_BOUNDS)
    ] = NO_ITEMS
    mode: Annotated[Mode, Meta(description="shadow: recorded, never applied.")] = Mode.ENFORCE
    tags: Annotated[
        Sequence[Annotated[str, Meta(min_length=1, max_length=limits.TYPE)]],
        Meta(max_length=limits.TAGS, description="For finding rules again."),
    ] = NO_MEMBERS
    not_before: Annotated[
        Annotated[float, Meta(ge=0, lt=limits.MOMENT)] | None,
        Meta(description="Takes part from here on; Unix seconds."),
    ] = None
    expires_at: Annotated[
        Annotated[float, Meta(ge=0, lt=limits.MOMENT)] | None,
        Meta(description="Takes part until then; Unix seconds."),
    ] = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            id: str,
            name: str,
            effect: Effect | str,
            conditions: Sequence[Condition | Mapping[str, Any]] = ...,
            priority: int = ...,
            enabled: bool = ...,
            description: str = ...,
            metadata: Mapping[str, Any] = ...,
            mode: Mode | str = ...,
            tags: Sequence[str] = ...,
            not_before: float | None = ...,
            expires_at: float | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        faults = _text_faults(self)
        put = object.__setattr__
        put(self, "effect", _member(Effect, self.effect, "effect", faults))
        put(self, "mode", _member(Mode, self.mode, "mode", faults))
        put(self, "conditions", _conditions(self.conditions, faults))
        put(self, "tags", _tags(self.tags, faults))
        if type(self.priority) is not int or abs(self.priority) > MAX_PRIORITY:
            faults.append(f"priority: {limits.shown(self.priority)} is not a whole number between ±{MAX_PRIORITY}")
        if not isinstance(self.enabled, bool):
            faults.append(f"enabled: {limits.shown(self.enabled)} is not true or false")
        if not isinstance(self.metadata, Mapping):
            faults.append(f"metadata: must be an object, not {limits.shown(self.metadata)}")
        else:
            put(self, "metadata", _frozen("metadata", self.metadata, faults))
            faults += [f"metadata.{fault}" for fault in approval_faults(self.metadata)] if self.metadata else []
        for name in ("not_before", "expires_at"):
            put(self, name, _moment(name, getattr(self, name), faults))
        if self.not_before and self.expires_at and self.not_before >= self.expires_at:
            faults.append(f"expires_at: {self.expires_at} is not after not_before ({self.not_before})")
        if not faults and _may_be_large(self.conditions):
            fault = limits.size_fault(self.to_dict(), limits.RULE_BYTES)
            faults += [f"conditions: with all of them the rule is too large: {fault}, or split it"] if fault else []
        if faults:
            raise InvalidInput(f"rule {limits.shown(self.id)} is not valid: " + "; ".join(faults), faults)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def order(self) -> tuple[int, int, str]:
        """The place in the line of precedence: the smallest decides."""
        return (-self.priority, RESTRICTIVENESS[self.effect], self.id)

    @property
    def requires_approval(self) -> bool:
        """Whether a guard must wait for a person's answer: `requires_approval` in the metadata of AUDIT or WARN."""
        return bool(self.metadata.get("requires_approval")) and self.effect in (Effect.AUDIT, Effect.WARN)

    @property
    def is_temporary(self) -> bool:
        """Whether it is a containment or the kill switch: no part of the policy, its versions, exports and imports."""
        return is_temporary_id(self.id)

    def has_expired(self, now: float) -> bool:
        """Whether its time is over: expires_at is past at `now` (Unix seconds)."""
        return self.expires_at is not None and now >= self.expires_at

    def active_at(self, now: float) -> bool:
        """Whether the rule is enabled and `now` (Unix seconds) lies within its validity."""
        if not self.enabled or (self.not_before is not None and now < self.not_before):
            return False
        return not self.has_expired(now)

    def to_dict(self) -> dict[str, Any]:
        """The whole rule as plain JSON values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @staticmethod
    def from_dict(plain: object) -> Rule:
        """The rule written as `to_dict` writes it. Raises InvalidInput with every fault listed, unknown keys too."""
        if not isinstance(plain, Mapping):
            raise InvalidInput(f"a rule is an object with id, name and effect, not {limits.shown(plain)}")
        faults = [f"{name}: is missing" for name in ("id", "name", "effect") if name not in plain]
        faults += [
            f"{shown_key(name)}: is no key of a rule; known are {', '.join(_RULE_KEYS)}"
            for name in plain
            if name not in _RULE_KEYS
        ]
        faults += everyone_faults(plain)
        known = {name: value for name, value in plain.items() if name in _RULE_KEYS and name != EVERYONE}
        try:
            rule = Rule(**{"id": "?", "name": "?", "effect": "DENY", **known})
        except InvalidInput as error:
            faults += error.faults
        if faults:
            raise InvalidInput(f"rule {limits.shown(plain.get('id'))} is not valid: " + "; ".join(faults), faults)
        return rule


_RULE_KEYS = (*(each.name for each in fields(Rule)), EVERYONE)


def everyone_faults(plain: Mapping[str, Any]) -> list[str]:
    """What is wrong with the key `everyone` of a written rule, which says that it has no conditions on purpose."""
    said = plain.get(EVERYONE, False)
    if not isinstance(said, bool):
        return [f"{EVERYONE}: {limits.shown(said)} is not true or false"]
    if said and plain.get("conditions"):
        return [f"{EVERYONE}: is true, but the rule has conditions; remove one of the two"]
    return []


def lets_everyone(rule: Rule) -> bool:
    """Whether the rule allows everybody everything: a written one must say so, for `conditions` is soon forgotten."""
    return rule.effect is Effect.ALLOW and not rule.conditions


def changes(old: Rule, new: Rule) -> dict[str, dict[str, Any]]:
    """What differs, by field: `{"priority": {"old": 1, "new": 2}}`."""
    before, after = old.to_dict(), new.to_dict()
    return {name: {"old": before[name], "new": after[name]} for name in before if not same(before[name], after[name])}


def is_temporary_id(rule_id: str) -> bool:
    """Whether it is the id of a containment or of the kill switch; no rule may have such."""
    return rule_id == KILL_SWITCH or rule_id.startswith(f"{CONTAINMENT}:")


M = TypeVar("M", Effect, Operator, Mode)


def _member(kind: type[M], value: object, name: str, faults: list[str]) -> M | None:
    for member in kind:
        if isinstance(value, str) and member.value.lower() == value.lower():
            return member
    faults.append(f"{name}: {limits.shown(value)} is unknown; use one of {', '.join(member.value for member in kind)}")
    return None


def _text_faults(rule: Rule) -> list[str]:
    faults = []
    if not isinstance(rule.id, str) or not _ID(rule.id) or not is_text(rule.id):
        faults.append(f"id: {limits.shown(rule.id)} is not a text of 1 to {limits.ID} printable characters without /")
    for name, limit in (("name", limits.NAME), ("description", limits.TEXT)):
        text = getattr(rule, name)
        if not isinstance(text, str) or len(text) > limit:
            faults.append(f"{name}: must be a text of at most {limit} characters")
        elif not is_text(text):
            faults.append(f"{name}: {limits.shown(text)} is no valid text: it has a lone surrogate")
    return faults


def _conditions(given: object, faults: list[str]) -> Sequence[Condition]:
    if not isinstance(given, (list, tuple)):
        faults.append(f"conditions: must be a list, not {limits.shown(given)}")
        return NO_MEMBERS
    if len(given) > MAX_CONDITIONS:
        faults.append(f"conditions: {len(given)} are more than {MAX_CONDITIONS}; split the rule")
        return NO_MEMBERS
    made = []
    for place, one in enumerate(given):
        if not isinstance(one, (Condition, Mapping)):
            faults.append(
                f"conditions[{place}]: must be an object with field, operator and value, not {limits.shown(one)}"
            )
            continue
        try:
            made.append(shared(one if isinstance(one, Condition) else condition_from(one)))
        except InvalidInput as error:
            faults += [f"conditions[{place}].{fault}" for fault in error.faults]
    return FrozenList(made) if made else NO_MEMBERS


def condition_from(plain: Mapping[str, Any]) -> Condition:
    """The condition written as `{"field", "operator", "value"}`. Raises InvalidInput with every fault listed."""
    names = ("field", "operator", "value")
    faults = [f"{name}: is missing" for name in names if name not in plain]
    faults += [
        f"{shown_key(name)}: is no key of a condition; known are {', '.join(names)}"
        for name in plain
        if name not in names
    ]
    if faults:
        raise InvalidInput("the condition is not valid: " + "; ".join(faults), faults)
    return Condition(plain["field"], plain["operator"], plain["value"])


def _tags(given: object, faults: list[str]) -> Sequence[str]:
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(tag, str) and 0 < len(tag) <= limits.TYPE and is_text(tag) for tag in given
    ):
        faults.append(f"tags: must be a list of texts of 1 to {limits.TYPE} characters, not {limits.shown(given)}")
        return NO_MEMBERS
    if len(given) > limits.TAGS:
        faults.append(f"tags: {len(given)} are more than {limits.TAGS}")
        return NO_MEMBERS
    return FrozenList(dict.fromkeys(given)) if given else NO_MEMBERS


def _moment(name: str, given: object, faults: list[str]) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= given < limits.MOMENT:
        faults.append(f"{name}: {limits.shown(given)} is not a time in Unix seconds")
        return None
    return float(given)
