"""What candidate rules would have changed: the decisions on record, made again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from brain.charter import Effect
from brain.json_text import JSON_FAULTS
from brain.policy.compiler import DECISION, Mismatch
from brain.policy.decision_record import context_of, decode
from brain.policy.decisions import Decision, is_out_of_date
from brain.policy.events import RULE_EVALUATED
from brain.policy.json_safe import to_json_safe
from brain.policy.models import Rule, is_temporary_id
from brain.policy.ruleset import RuleSet
from brain.policy.values import spread_agent
from brain.stream import EventStream

_PAGE = 5_000
_CLOCK_SLACK = 3_600.0  # seconds by which a producer's clock may be behind the backend's
_NAME = RULE_EVALUATED.name
_TYPE = msgspec.json.encode(_NAME)


ChangeKind = Literal["newly_denied", "newly_allowed", "effect_changed"]
_Counts = dict[str, Counter[str]]


@dataclass(frozen=True, slots=True)
class ReplayDifference:
    """One recorded decision that would have been another. `kind`: newly_denied, newly_allowed or effect_changed."""

    kind: ChangeKind
    event_id: str
    timestamp: float
    context: dict[str, Any]
    before: Annotated[dict[str, Any], Meta(description="The recorded effect, and the rule that decided.")]
    after: Annotated[dict[str, Any], Meta(description="The effect under the candidates, the rule, and its reason.")]


@dataclass
class ReplayReport:
    """The result of a replay; `changed` counts by kind, the `by_...` counts say where."""

    decisions: Annotated[int, Meta(description="How many recorded decisions were made again.")] = 0
    skipped: Annotated[
        int, Meta(description="Decisions of containments, the kill switch and rules out of date; unreadable ones.")
    ] = 0
    first: Annotated[float | None, Meta(description="The time of the first.")] = None
    last: Annotated[float | None, Meta(description="The time of the last.")] = None
    changed: Counter[str] = field(default_factory=Counter)
    by_agent: Annotated[_Counts, Meta(description="Changes by agent and kind.")] = field(default_factory=dict)
    by_action: Annotated[_Counts, Meta(description="Changes by action and kind.")] = field(default_factory=dict)
    by_rule: Annotated[_Counts, Meta(description="Changes by the rule that decides now, and kind.")] = field(
        default_factory=dict
    )
    examples: list[ReplayDifference] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; where most changed comes first."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "changed"}
        plain |= {name: _ordered(counts) for name, counts in plain.items() if name.startswith("by_")}
        plain |= {kind: self.changed[kind] for kind in get_args(ChangeKind)}
        unchanged = self.decisions - self.changed.total()
        return {**plain, "unchanged": unchanged, "examples": msgspec.to_builtins(self.examples)}


class Replay:
    """Makes recorded decisions again by `rules`, each as of the time it was made, and counts what comes out otherwise.

    `examples` is how many differences of each kind are kept in full.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        default: Effect = Effect.DENY,
        *,
        examples: int = 5,
        mismatch: Mismatch = "unknown",
    ) -> None:
        self.report: ReplayReport = ReplayReport()
        self._rules = [rule for rule in rules if not rule.is_temporary]
        self._default = default
        self._mismatch: Mismatch = mismatch
        self._examples = examples
        self._set: RuleSet | None = None
        self._last = 0.0

    def feed(self, stored: Iterable[bytes], since: float | None = None, until: float | None = None) -> None:
        """Go through encoded events, in the order of the stream; those of other types and times are passed over."""
        report = self.report
        low, high = since or 0.0, until or float("inf")
        for data in stored:
            if _TYPE not in data:
                continue
            try:
                recorded = decode(data)
            except JSON_FAULTS:
                report.skipped += 1
                continue
            if recorded.type != _NAME or not low <= recorded.timestamp < high:
                continue
            before = recorded.payload
            rule_id = before.rule_id
            if is_out_of_date(before.reason) if rule_id is None else is_temporary_id(rule_id):
                report.skipped += 1
                continue
            report.decisions += 1
            after = self._at(recorded.timestamp).find(_context(before))[DECISION]
            if after.effect != before.effect:
                self._differs(recorded, after)

    def _at(self, timestamp: float) -> RuleSet:
        report = self.report
        if report.first is None or timestamp < report.first:
            report.first = timestamp
        if report.last is None or timestamp > report.last:
            report.last = timestamp
        rules = self._set
        if rules is None or (timestamp < self._last and not rules.plain):
            # Events of several producers are only nearly in order of time: an earlier one is decided by earlier rules.
            rules = self._set = RuleSet.of(self._rules, timestamp, self._default, self._mismatch)
        elif timestamp >= rules.due:
            rules = self._set = rules.advanced(timestamp)
        self._last = timestamp
        return rules

    def _differs(self, recorded: Any, after: Decision) -> None:
        before = recorded.payload
        kind: ChangeKind
        if before.allowed == after.allowed:
            kind = "effect_changed"
        else:
            kind = "newly_allowed" if after.allowed else "newly_denied"
        report = self.report
        report.changed[kind] += 1
        for counts, name in (
            (report.by_agent, before.agent_id),
            (report.by_action, before.action),
            (report.by_rule, after.rule_id),
        ):
            counts.setdefault(name if isinstance(name, str) else str(name), Counter())[kind] += 1
        if report.changed[kind] <= self._examples:
            report.examples.append(
                ReplayDifference(
                    kind=kind,
                    event_id=recorded.id,
                    timestamp=recorded.timestamp,
                    context=to_json_safe(_context(before)),
                    before={"effect": before.effect, "rule_id": before.rule_id},
                    after={"effect": str(after.effect), "rule_id": after.rule_id, "reason": after.reason},
                )
            )


async def replay(
    stream: EventStream,
    replaying: Replay,
    *,
    since: float | None = None,
    until: float | None = None,
    progress: Callable[[int, float | None], None] | None = None,
) -> ReplayReport:
    """Feed it what the stream has recorded from `since` to `until` (Unix seconds), in pages, off the event loop.

    `progress` is called after each page with the number of decisions so far and the time of the newest.
    Raises Unavailable.
    """
    backend = stream.backend
    position = await stream.call(backend.position_at, since - _CLOCK_SLACK) if since is not None else ""
    entries = await stream.call(backend.read, position, _PAGE)
    while entries:
        following = asyncio.create_task(stream.call(backend.read, entries[-1].position, _PAGE))
        try:
            await asyncio.to_thread(replaying.feed, [entry.data for entry in entries], since, until)
        finally:
            entries = await following
        if progress is not None:
            progress(replaying.report.decisions, replaying.report.last)
    return replaying.report


def overlaid(current: Sequence[Rule], candidates: Sequence[Rule]) -> list[Rule]:
    """The current rules with the candidates over them: those of the same id are replaced, the others added."""
    return list({rule.id: rule for rule in (*current, *candidates)}.values())


def _context(payload: Any) -> Mapping[str, Any]:
    """The context to decide on again."""
    context = context_of(payload)
    return spread_agent(context) if "agent" in context else context


def _ordered(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(counts[name]) for name in sorted(counts, key=lambda name: (-counts[name].total(), name))}
