"""Events in, hits out: rules on single events, the correlations above them, and what both remember.

The engine is the same for the stream, for logs, for test cases and for a backtest; they differ in the `States` that
keep what it remembers. One call of `feed` for each event, in order, and the same hits come out, however often it is
done and whatever is killed between: the caller writes states and position in one transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from brain.detections import machines
from brain.detections.loading import Loaded
from brain.detections.machines import Match, Memory, Outcome
from brain.detections.models import Correlation, Detection, digest
from brain.detections.ruleset import Record, RuleSet
from brain.detections.values import find_in, text_of

EVENTS_KEPT = 5
"""Ids of events that a hit names: the first ones."""
SOURCE_CHARACTERS = 200
_SOURCES = ("agent_id", "principal", "userIdentity.sessionContext.sessionIssuer.arn", "userIdentity.arn", "source_address",
            "sourceIPAddress", "c-ip", "user.username", "User", "user", "hostname", "Computer")  # fmt: skip
UNKNOWN = "unknown"
"""Whom a hit is about where no event says so."""
_NUMBERS = frozenset({"value_sum", "value_avg", "value_percentile", "value_median"})


class StateKey(NamedTuple):
    """What one group of one detection is remembered under."""

    detection: str
    """The detection's digest."""
    group: str


class States(Protocol):
    """Keeps memories. `get` gives the same dict until the end of a batch; who changes it calls `put`."""

    def get(self, key: StateKey) -> Memory:
        """The memory; a new empty one where there is none."""

    def put(self, key: StateKey, memory: Memory, due: float | None) -> None:
        """The memory was changed; `due` is when a window of it ends, in Unix seconds of events."""

    def due(self, now: float) -> Sequence[tuple[StateKey, Memory]]:
        """Those whose window ended before `now`, the earliest first."""


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What a detection found about one source: a run of matches without a pause, under one id."""

    id: str
    detection: str
    """The detection's key."""
    source: str
    group: Mapping[str, str]
    opened_at: float
    """Unix seconds of the event that completed it; likewise `last_at`, of the last one."""
    last_at: float
    count: int
    """Events that were part of it."""
    events: Sequence[str]
    correlation_id: str | None = None
    values: Mapping[str, str] = {}


class Engine:
    """Detections over states. `found` has the hits that changed since `drain`; `dropped` what was not counted."""

    def __init__(self, loaded: Loaded, states: States) -> None:
        self.states = states
        self.dropped: Counter[tuple[str, str]] = Counter()
        """By the detection's key and the reason: late, forgot, no_group, no_value."""
        self.watermark: float = 0.0
        """The latest time of any event."""
        self._rules = RuleSet(loaded.rules)
        self._by_key: Mapping[str, Detection] = {one.about.key: one for one in loaded.detections}
        self._digests = {key: digest(one) for key, one in self._by_key.items()}
        self._waiting = {self._digests[one.about.key]: one for one in loaded.correlations if
                         machines.waits_for_the_end(one)}  # fmt: skip
        self._takers: Mapping[str, list[tuple[Correlation, int]]] = _takers(loaded.correlations)
        self._hits: dict[str, Hit] = {}

    @property
    def rules(self) -> RuleSet:
        """The rules on single events."""
        return self._rules

    def feed(self, record: Record) -> None:
        """Take one event."""
        matched = self._rules.match(record)
        if record.time > self.watermark:
            self.watermark = record.time
        if matched:
            for rule in matched:
                self._matched(rule, record, 1, True)

    def end_windows(self) -> None:
        """Ask the conditions whose windows ended before the latest event."""
        if not self._waiting:
            return
        for key, memory in self.states.due(self.watermark - machines.LATENESS):
            correlation = self._waiting.get(key.detection)
            if correlation is None:
                continue
            self._close(correlation, memory)
            self.states.put(key, memory, None)

    @property
    def has_windows(self) -> bool:
        """Whether any condition is asked at the end of a window: then `watermark` must be kept with the states."""
        return bool(self._waiting)

    def drain(self) -> Sequence[Hit]:
        """The hits that opened or grew since the last call, each as it is now."""
        hits = [*self._hits.values()]
        self._hits.clear()
        return hits

    def _matched(self, detection: Detection, record: Record, count: int, opens: bool) -> None:
        """A detection matched: a hit by itself, and for those that take its matches."""
        key = detection.about.key
        if detection.about.reports and not isinstance(detection, Correlation):
            self._report(detection, record, count)
        for correlation, number in self._takers.get(key, ()):
            if opens or correlation.kind in ("temporal", "temporal_ordered", "sequence"):
                self._take(correlation, number, key, record)

    def _report(self, rule: Detection, record: Record, count: int) -> None:
        opening = self._opening(rule, record, {})
        state = StateKey(self._digests[rule.about.key], _group_key([opening.source]))
        memory = self.states.get(state)
        self._hit(rule, memory, opening, count)
        self.states.put(state, memory, None)

    def _take(self, correlation: Correlation, number: int, via: str, record: Record) -> None:
        key = correlation.about.key
        group = self._group(correlation, via, record)
        if group is None:
            self.dropped[key, "no_group"] += 1
            return
        value = self._value(correlation, record)
        if value is None and correlation.fields:
            self.dropped[key, "no_value"] += 1
            return
        state = StateKey(self._digests[key], _group_key(list(group.values())))
        memory = self.states.get(state)
        opening = self._opening(correlation, record, group)
        self._count(correlation, memory, Match(record.time, number, value), opening, record)
        self.states.put(state, memory, machines.end_of_window(correlation, memory))

    def _count(self, correlation: Correlation, memory: Memory, match: Match, opening: Opening, record: Record) -> None:
        """Take the match; an open hit grows with each until there was a pause of one timespan."""
        if self._digests[correlation.about.key] in self._waiting:
            self._collect(correlation, memory, match, opening)
            return
        hit = memory.get("hit")
        ends = correlation.unless is not None and match.number == len(correlation.rules)
        single = _folds(correlation)
        if hit is not None and not single and not ends and abs(match.time - hit["last_at"]) <= correlation.timespan:
            self._hit(correlation, memory, opening, 1)
            self._matched(correlation, record, 1, False)
            return
        outcome = machines.take(correlation, memory, match)
        if outcome is Outcome.HOLDS:
            count = 1 if single else machines.count_from(memory, match.time - correlation.timespan)
            if not single:
                machines.clear(memory)
                memory.pop("hit", None)
            self._hit(correlation, memory, opening, count)
            self._matched(correlation, record, count, True)
        elif outcome is not Outcome.QUIET:
            self.dropped[correlation.about.key, outcome.value] += 1

    def _collect(self, correlation: Correlation, memory: Memory, match: Match, opening: Opening) -> None:
        """Take a match of a condition that is asked at the end of a window.

        What is older than any window that may have ended is dropped, so that it does not matter when one is asked.
        """
        if match.time < self.watermark - machines.LATENESS:
            self.dropped[correlation.about.key, Outcome.LATE.value] += 1
            return
        end = machines.end_of_window(correlation, memory)
        if end is not None and match.time > end:
            self._close(correlation, memory)
        outcome = machines.take(correlation, memory, match)
        if outcome is not Outcome.QUIET:
            self.dropped[correlation.about.key, outcome.value] += 1
        memory["last"] = opening._asdict()

    def _close(self, correlation: Correlation, memory: Memory) -> None:
        """End a window, and report it if its condition held."""
        last, count = memory.pop("last"), memory.get("count", 1)
        if machines.close_window(correlation, memory):
            self._hit(correlation, memory, Opening(**last), count)

    def _hit(self, detection: Detection, memory: Memory, opening: Opening, count: int) -> None:
        """Open a hit, or let the open one grow."""
        about = detection.about
        pause = detection.timespan if isinstance(detection, Correlation) and not _folds(detection) else about.fold
        hit = memory.get("hit")
        if hit is not None and opening.time - hit["last_at"] <= pause:
            hit["count"] += count
            hit["last_at"] = max(hit["last_at"], opening.time)
            if len(hit["events"]) < EVENTS_KEPT:
                hit["events"].append(opening.event)
        else:
            group = opening.group
            id = hashlib.sha256("\n".join([about.key, *group.values(), opening.source, opening.event]).encode())
            hit = memory["hit"] = {
                "id": f"hit_{id.hexdigest()[:20]}", "source": opening.source, "group": dict(group),
                "opened_at": opening.time, "last_at": opening.time, "count": count, "events": [opening.event],
                "correlation_id": opening.correlation_id, "values": dict(opening.values),
            }  # fmt: skip
        if about.reports:
            made = Hit(detection=about.key, **{**hit, "events": tuple(hit["events"])})
            self._hits[made.id] = made

    def _group(self, correlation: Correlation, via: str, record: Record) -> dict[str, str] | None:
        """The values of the group-by fields; None where one is missing."""
        group = {}
        for name in correlation.group_by:
            field = correlation.aliases.get(name, {}).get(via, name)
            text = text_of(find_in(record.data, record.event, field))
            if type(text) is tuple:
                text = ", ".join(text)
            if not text:
                return None
            group[name] = str(text)
        return group

    def _value(self, correlation: Correlation, record: Record) -> str | float | None:
        if not correlation.fields:
            return None
        texts = [text_of(find_in(record.data, record.event, field)) for field in correlation.fields]
        if any(text is None for text in texts):
            return None
        joined = "\n".join(text if type(text) is str else ", ".join(text or ()) for text in texts)
        if correlation.kind not in _NUMBERS:
            return joined[:1000]
        try:
            return float(joined)
        except ValueError:
            return None

    def _opening(self, detection: Detection, record: Record, group: Mapping[str, str]) -> Opening:
        source = ""
        for name in (*detection.about.source, *(() if group else _SOURCES)):
            text = text_of(find_in(record.data, record.event, name))
            if text:
                source = text if type(text) is str else ", ".join(text)
                break
        source = source or ", ".join(group.values()) or UNKNOWN
        values = {}
        if isinstance(detection, Correlation) and detection.kind == "first_seen":
            values = {name: str(text_of(find_in(record.data, record.event, name)))[:500] for name in detection.fields}
        short = {name: value[:500] for name, value in group.items()}
        return Opening(record.time, record.id, source[:SOURCE_CHARACTERS], short, record.correlation_id, values)


class Opening(NamedTuple):
    """What the event that completes a hit says."""

    time: float
    event: str
    source: str
    group: Mapping[str, str]
    correlation_id: str | None
    values: Mapping[str, str]


def _folds(correlation: Correlation) -> bool:
    return correlation.kind in ("first_seen", "rate")


def _group_key(values: Sequence[str]) -> str:
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()[:32]


def _takers(correlations: Sequence[Correlation]) -> Mapping[str, list[tuple[Correlation, int]]]:
    takers: dict[str, list[tuple[Correlation, int]]] = defaultdict(list)
    for one in correlations:
        for number, key in enumerate((*one.rules, *((one.unless,) if one.unless else ()))):
            takers[key].append((one, number))
    return takers


class MemoryStates:
    """States in memory, for test cases and backtests. At most `most` groups; the one unused for longest is forgotten."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.forgotten = 0
        self._most = most
        self._memories: dict[StateKey, Memory] = {}
        self._due: dict[StateKey, float] = {}

    def get(self, key: StateKey) -> Memory:
        """As States says."""
        memory = self._memories.pop(key, None)
        memory = {} if memory is None else memory
        self._memories[key] = memory
        if len(self._memories) > self._most:
            oldest = next(iter(self._memories))
            del self._memories[oldest]
            self._due.pop(oldest, None)
            self.forgotten += 1
        return memory

    def put(self, key: StateKey, memory: Memory, due: float | None) -> None:
        """As States says."""
        if due is None:
            self._due.pop(key, None)
        else:
            self._due[key] = due

    def due(self, now: float) -> Sequence[tuple[StateKey, Memory]]:
        """As States says."""
        ready = sorted((due, key) for key, due in self._due.items() if due < now)
        return [(key, self._memories[key]) for _, key in ready]

    def __iter__(self) -> Iterator[StateKey]:
        return iter(self._memories)
