"""Findings about valid rules: those that never win, contradict or repeat others, or misspell a field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.charter import Effect
from brain.nearest import nearest
from brain.policy.compiler import filed, signature_values
from brain.policy.events import CONTEXT_FIELDS
from brain.policy.implication import all_imply, can_hold_together, excludes, matches_everything
from brain.policy.models import Condition, Mode, Rule
from brain.policy.open_patterns import each_open
from brain.policy.operators import Operator
from brain.policy.predicates import holds
from brain.policy.values import Path, path_of, resolve

KINDS = (
    "never-wins",
    "never-matches",
    "contradiction",
    "duplicate",
    "unused-field",
    "matches-everything",
    "open-end",
    "open-start",
    "never-asks",
    "expired",
)
_NAMES = ("agent_id", "agent_role", "action")  # fields whose values are no paths
_LONGEST_PATTERN = 1_000
_OPEN = {
    "open-end": "the pattern {0!r} on {1} is open at its end: it lets {2!r} through; end it with $, and say what comes "
    "before, as in orders/[^/]+$",
    "open-start": "the pattern {0!r} on {1} begins with anything: it lets {2!r} through; say how the text begins",
}
_PAIRWISE = 300  # rules of one priority up to which every pair is compared; above, only those that share their keys


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """One oddity. `kind` is one of KINDS; `other_id` is the rule it is compared with."""

    kind: Annotated[str, Meta(description="never-wins, never-matches, contradiction, duplicate, unused-field, ...")]
    rule_id: Annotated[str, Meta(description="The rule it is about.")]
    other_id: Annotated[str | None, Meta(description="The rule it is compared with.")]
    message: Annotated[str, Meta(description="What is odd, in words.")]


def analyse(rules: Sequence[Rule], now: float, *, fields: Iterable[str] = ()) -> list[RuleFinding]:
    """The oddities of these rules as of `now` (Unix seconds), in the order of the rules.

    `fields` are top-level fields that contexts have besides the usual six.
    """
    live = [rule for rule in rules if rule.enabled and rule.mode is Mode.ENFORCE and not rule.has_expired(now)]
    found = [finding for rule in rules for finding in _alone(rule, now, (*CONTEXT_FIELDS, *fields))]
    impossible = {finding.rule_id for finding in found if finding.kind == "never-matches"}
    live = [rule for rule in live if rule.id not in impossible]
    duplicates = list(_duplicates(rules))
    repeated = {(finding.rule_id, finding.other_id) for finding in duplicates}
    found += duplicates
    found += [one for one in _never_win(live) if (one.rule_id, one.other_id) not in repeated]
    found += _contradictions(live)
    place = {rule.id: number for number, rule in enumerate(rules)}
    return sorted(found, key=lambda finding: place[finding.rule_id])


def misspelt_fields(context: Mapping[str, Any], rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """The fields of a context that no rule and no usual context has, each with the known field that is near it.

    A field that resembles none is left out: a context may have fields that no rule needs.
    """
    known: dict[Path, set[str]] = defaultdict(set, {(): {*CONTEXT_FIELDS, "agent"}})
    for condition in (one for rule in rules for one in rule.conditions):
        path = path_of(condition.field)
        for depth, name in enumerate(path):
            known[path[:depth]].add(name)
    found = []
    for parent, names in known.items():
        held = resolve(parent, context) if parent else context
        unknown = [name for name in held if name not in names] if isinstance(held, Mapping) else []
        for name in unknown:
            if isinstance(name, str) and (near := nearest(name, names)) is not None:
                found.append((".".join((*parent, name)), ".".join((*parent, near))))
    return found


def _alone(rule: Rule, now: float, known: Sequence[str]) -> Iterable[RuleFinding]:
    """What is odd about one rule by itself."""
    for condition in rule.conditions:
        top = path_of(condition.field)[0]
        if top not in known and not top.startswith("agent_"):
            close = get_close_matches(top, known, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield RuleFinding(
                "unused-field", rule.id, None, f"no usual context has the field {condition.field!r}{hint}"
            )
        elif top.startswith("agent_") and top not in known and (close := get_close_matches(top, known, 1, 0.8)):
            message = f"no usual context has the field {condition.field!r}; did you mean {close[0]}?"
            yield RuleFinding("unused-field", rule.id, None, message)
        if condition.operator is Operator.MATCHES and matches_everything(condition.value):
            message = f"the pattern {condition.value!r} on {condition.field} matches every text"
            yield RuleFinding("matches-everything", rule.id, None, message)
        if condition.operator is Operator.IN and not condition.value:
            yield RuleFinding("never-matches", rule.id, None, f"no value is in the empty list for {condition.field}")
    yield from _open_patterns(rule)
    for one, other in combinations(rule.conditions, 2):
        if excludes(one, other):
            where = " (it matches only where a value cannot be compared)" if rule.effect.is_strict else ""
            yield RuleFinding(
                "never-matches", rule.id, None, f"its conditions exclude each other: {one}, and {other}{where}"
            )
    if rule.metadata.get("requires_approval") and not rule.requires_approval:
        message = f"of effect {rule.effect} it asks nobody, whatever requires_approval says; make it AUDIT or WARN"
        yield RuleFinding("never-asks", rule.id, None, message)
    if rule.has_expired(now):
        yield RuleFinding("expired", rule.id, None, "its time is over: expires_at is past")


def _open_patterns(rule: Rule) -> Iterable[RuleFinding]:
    """Patterns of an ALLOW that let more through than they seem to: `matches` is anchored at the start alone."""
    for condition in rule.conditions:
        if rule.effect is not Effect.ALLOW or condition.operator is not Operator.MATCHES:
            continue
        path = path_of(condition.field)
        about = [one for one in rule.conditions if path_of(one.field) == path]
        if matches_everything(condition.value) or len(condition.value) > _LONGEST_PATTERN:
            continue

        def fits(text: str, about: list[Condition] = about) -> bool:
            return all(holds(one, text) for one in about)

        is_path = path[-1] not in _NAMES or "/" in condition.value
        for kind, text in each_open(condition.value, is_path, fits):
            yield RuleFinding(kind, rule.id, None, _OPEN[kind].format(condition.value, condition.field, text))


def _duplicates(rules: Sequence[Rule]) -> Iterable[RuleFinding]:
    first: dict[Any, str] = {}
    for rule in rules:
        same = (rule.effect, rule.priority, rule.mode, rule.not_before, rule.expires_at, _conditions_key(rule))
        if same in first:
            message = f"does the same as {first[same]!r}: same conditions, effect and priority"
            yield RuleFinding("duplicate", rule.id, first[same], message)
        else:
            first[same] = rule.id


def _never_win(rules: Sequence[Rule]) -> Iterable[RuleFinding]:
    """Rules that match only where a rule that goes before them matches too."""
    index = _Filed(rules)
    for rule in rules:
        for other in index.candidates(rule):
            if other.order < rule.order and _always_valid_with(other, rule) and _covers(other, rule):
                certain = "can never win: wherever it matches"
                if not _covers_doubts(other, rule):
                    certain = "wins only where a value cannot be compared: wherever it matches for certain"
                message = (
                    f"{certain}, {other.id!r} ({other.effect}, priority {other.priority}) "
                    "matches too and goes before it"
                )
                yield RuleFinding("never-wins", rule.id, other.id, message)
                break


def _contradictions(rules: Sequence[Rule]) -> Iterable[RuleFinding]:
    """Rules of equal priority of which one allows and one denies what both match."""
    by_priority: dict[int, list[Rule]] = defaultdict(list)
    for rule in rules:
        by_priority[rule.priority].append(rule)
    for group in by_priority.values():
        denying = [rule for rule in group if rule.effect is Effect.DENY]
        if not denying or len(denying) == len(group):
            continue
        index = _Filed(denying)
        for rule in group:
            if rule.effect is Effect.DENY:
                continue
            candidates = denying if len(group) <= _PAIRWISE else index.candidates(rule)
            for other in candidates:
                if can_hold_together(rule.conditions, other.conditions):
                    same = _conditions_key(rule) == _conditions_key(other)
                    where = "have the same conditions" if same else "can match together"
                    message = (
                        f"contradicts {other.id!r}: both have priority {rule.priority} and {where}; "
                        f"only because DENY is more restrictive than {rule.effect} does {other.id!r} decide"
                    )
                    yield RuleFinding("contradiction", rule.id, other.id, message)


class _Filed:
    """Rules by what they are filed under, to find those that could cover another without looking at all."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_key: dict[tuple[Path, ...], dict[tuple[Any, ...], list[Rule]]] = defaultdict(lambda: defaultdict(list))
        for rule in rules:
            paths, keys, _ = filed(rule)
            for key in keys:
                self._by_key[paths][key].append(rule)

    def candidates(self, rule: Rule) -> Iterable[Rule]:
        """The rules filed only under values that `rule` asks for too."""
        values = signature_values(rule)
        for paths, by_key in self._by_key.items():
            if all(path in values for path in paths):
                for other in by_key.get(tuple(values[path] for path in paths), ()):
                    if other is not rule:
                        yield other


def _covers(wide: Rule, narrow: Rule) -> bool:
    return all_imply(narrow.conditions, wide.conditions)


def _covers_doubts(wide: Rule, narrow: Rule) -> bool:
    """Whether `wide`, which covers `narrow`, also matches where that counts as matched by an unknown condition."""
    if not narrow.effect.is_strict or not wide.conditions:
        return True
    return wide.effect.is_strict and all_imply(narrow.conditions, wide.conditions, doubtful=True)


def _always_valid_with(wide: Rule, narrow: Rule) -> bool:
    starts = wide.not_before is None or (narrow.not_before is not None and narrow.not_before >= wide.not_before)
    ends = wide.expires_at is None or (narrow.expires_at is not None and narrow.expires_at <= wide.expires_at)
    return starts and ends


def _conditions_key(rule: Rule) -> frozenset[tuple[Path, str, bytes]]:
    return frozenset(
        (path_of(one.field), str(one.operator), msgspec.json.encode(one.value, order="sorted"))
        for one in rule.conditions
    )
