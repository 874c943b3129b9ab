"""All rules on single events together: which of them an event matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from brain.detections.compiler import Compiler
from brain.detections.folding import fold
from brain.detections.index import RuleIndex
from brain.detections.models import LogKind, Rule, Tree
from brain.detections.values import ENVELOPE, Lowered, Originals

FEW = 24
"""Rules of one kind of log that are all asked; more are looked up first."""


class EventLike(Protocol):
    """What rules see of an event of the stream."""

    @property
    def type(self) -> str:
        """Its type, which says of what kind it is."""

    @property
    def correlation_id(self) -> str | None:
        """The id that all events of one chain share."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event of the stream or of a log. `time` is Unix seconds; `id` names it for good."""

    data: Any
    kind: LogKind
    time: float
    id: str
    event: EventLike | None = None

    @property
    def correlation_id(self) -> str | None:
        """That of an event of the stream."""
        return None if self.event is None else self.event.correlation_id


_TYPE = f"{ENVELOPE}type"
_SHADOWS = frozenset({"event", _TYPE})  # an event that has such a field itself may mean that by event.type
RulesOf = Callable[[Lowered, Originals], Sequence[Rule]]


class RuleSet:
    """The rules, compiled when the first event comes: for its kind of log, or its type where it is of the stream."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules: Sequence[Rule] = rules
        self._by_kind: dict[LogKind, RulesOf | None] = {}
        self._by_type: dict[str, RulesOf | None] = {}

    def match(self, record: Record) -> tuple[Sequence[Rule], Originals | None]:
        """The rules that the event matches, and its texts; None where no rule is about such events."""
        event, data = record.event, record.data
        if event is not None and type(data) is dict and _SHADOWS.isdisjoint(data):
            try:
                matcher = self._by_type[event.type]
            except KeyError:
                matcher = self._by_type[event.type] = self._compiled(record.kind, event.type)
        else:
            try:
                matcher = self._by_kind[record.kind]
            except KeyError:
                matcher = self._by_kind[record.kind] = self._compiled(record.kind, None)
        if matcher is None:
            return (), None
        originals = Originals(data, event)
        return matcher(Lowered(originals), originals), originals

    def _compiled(self, kind: LogKind, event_type: str | None) -> RulesOf | None:
        rules, trees = self._asked(kind, event_type)
        if not rules:
            return None
        compiler = Compiler()
        if len(rules) <= FEW:
            match = compiler.matcher(trees)
            return lambda low, raw: [rules[number] for number in match(low, raw)]
        predicates = [compiler.predicate(tree) for tree in trees]
        index = RuleIndex(trees)

        def matching(low: Lowered, raw: Originals) -> Sequence[Rule]:
            return [rules[number] for number in index.candidates(low) if predicates[number](low, raw)]

        return matching

    def _asked(self, kind: LogKind, event_type: str | None) -> tuple[Sequence[Rule], Sequence[Tree]]:
        """The rules that are asked about such events, and what they ask of them."""
        rules, trees = [], []
        for rule in self.rules:
            if not kind.fits(rule.logsource):
                continue
            tree = rule.tree if event_type is None else fold(rule.tree, _TYPE, event_type)
            if tree is not False:
                rules.append(rule)
                trees.append(("and", []) if tree is True else tree)
        return rules, trees
