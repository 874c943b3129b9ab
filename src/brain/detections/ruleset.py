"""All rules on single events together: which of them an event matches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from brain.detections.compiler import Compiler
from brain.detections.index import RuleIndex
from brain.detections.models import LogKind, Rule
from brain.detections.values import Lowered, Originals

FEW = 24
"""Rules of one kind of log that are all asked; more are looked up first."""


class EventLike(Protocol):
    """What rules see of an event of the stream."""

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


class RuleSet:
    """The rules, compiled for each kind of log when its first event comes."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules: Sequence[Rule] = rules
        self._by_kind: dict[LogKind, Callable[[Lowered, Originals], Sequence[Rule]] | None] = {}

    def match(self, record: Record) -> tuple[Sequence[Rule], Originals | None]:
        """The rules that the event matches, and its texts; None where no rule is about such events."""
        try:
            matcher = self._by_kind[record.kind]
        except KeyError:
            matcher = self._by_kind[record.kind] = self._compiled(record.kind)
        if matcher is None:
            return (), None
        originals = Originals(record.data, record.event)
        return matcher(Lowered(originals), originals), originals

    def _compiled(self, kind: LogKind) -> Callable[[Lowered, Originals], Sequence[Rule]] | None:
        rules = [rule for rule in self.rules if kind.fits(rule.logsource)]
        if not rules:
            return None
        if len(rules) <= FEW:
            match = Compiler().matcher([rule.tree for rule in rules])
            return lambda low, raw: [rules[number] for number in match(low, raw)]
        compiler = Compiler()
        predicates = [compiler.predicate(rule.tree) for rule in rules]
        index = RuleIndex([rule.tree for rule in rules])

        def matching(low: Lowered, raw: Originals) -> Sequence[Rule]:
            return [rules[number] for number in index.candidates(low) if predicates[number](low, raw)]

        return matching
