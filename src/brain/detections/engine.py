"""Events in, hits out: rules on single events, the correlations above them, and what both remember.

The engine is the same for the stream, for logs, for test cases and for a backtest; they differ in the `States` that
keep what it remembers. One call of `feed` for each event, in order, and the same hits come out, however often it is
done and whatever is killed between: the caller writes states and position in one transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from typing import NamedTuple, Protocol

import msgspec

from brain.detections import machines
from brain.detections.loading import Loaded
from brain.detections.machines import Match, Memory, Outcome
from brain.detections.models import Correlation, Detection, Rule, digest
from brain.detections.ruleset import Record, RuleSet
from brain.detections.values import Originals

EVENTS_KEPT = 5
"""Ids of events that a hit names: the first ones."""
SOURCE_CHARACTERS = 200
_SOURCES = (
    *("agent_id", "principal", "userIdentity.arn", "source_address", "sourceIPAddress", "c-ip"),
    *("user.username", "User", "user", "hostname", "Computer"),
)
GROUP_CHARACTERS = 120
_BETWEEN, _HASHED = "\x1f", "#"
_KNOWN = 200_000  # groups, and values in them, of which it is known in memory that they were seen lately
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

    def has(self, key: StateKey) -> bool:
        """Whether there is a memory."""

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
        self.states: States = states
        self.dropped: Counter[tuple[str, str]] = Counter()
        """By the detection's key and the reason: late, forgot, no_group, no_value."""
        self.watermark: float = 0.0
        """The latest time of any event."""
        self._rules = RuleSet(loaded.rules)
        self._by_key: Mapping[str, Detection] = {one.about.key: one for one in loaded.detections}
        self._digests = {key: digest(one) for key, one in self._by_key.items()}
        self._waiting = {self._digests[one.about.key]: one for one in loaded.correlations if
                         machines.waits_for_the_end(one)}  # fmt: skip
        self._takers = _takers(loaded.correlations, self._digests)
        self._hits: dict[str, Hit] = {}
        self._noted = 0

    @property
    def rules(self) -> RuleSet:
        """The rules on single events."""
        return self._rules

    def feed(self, record: Record) -> None:
        """Take one event."""
        found = self.match(record)
        if found is not None:
            self.take(found)
        elif record.time > self.watermark:
            self.watermark = record.time

    def match(self, record: Record) -> Matched | None:
        """The event with the rules that it matches; None where there are none. Changes nothing."""
        rules, texts = self._rules.match(record)
        if not rules or texts is None:
            return None
        return Matched(record.time, record.id, record.correlation_id, rules, texts)

    def fields_after(self, rules: Sequence[Rule]) -> tuple[str, ...]:
        """The fields that may be asked for of an event that these rules match."""
        found: dict[str, None] = {}
        for rule in rules:
            if rule.about.reports:
                found.update(dict.fromkeys((*rule.about.source, *_SOURCES)))
            self._add_fields(rule.about.key, found)
        return tuple(found)

    def _add_fields(self, key: str, found: dict[str, None]) -> None:
        for taker in self._takers.get(key, ()):
            sources = (*taker.correlation.about.source, *(() if taker.group else _SOURCES))
            found.update(dict.fromkeys((*taker.group, *taker.fields, *sources)))
            self._add_fields(taker.key, found)

    def keys(self, matched: Sequence[Matched]) -> list[StateKey]:
        """The memories that these events need at once."""
        found: dict[StateKey, None] = {}
        for event in matched:
            for rule in event.rules:
                for taker in self._takers.get(rule.about.key, ()):
                    group = self._group(taker, event.texts)
                    if group is not None:
                        found[group.key] = None
        return list(found)

    def take(self, event: Matched) -> None:
        """Take an event that matched."""
        if event.time > self.watermark:
            self.watermark = event.time
        for rule in event.rules:
            if rule.about.reports:
                self._report(rule, event)
            self._pass_on(rule.about.key, event, True)

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

    def begin(self, states: States) -> None:
        """Go on with these states; what is not in them, of a transaction that was rolled back, is forgotten."""
        self.states = states
        self._hits.clear()
        self._forget_groups()
        self.dropped.clear()

    def _pass_on(self, key: str, event: Matched, opens: bool) -> None:
        """Hand a match to the correlations that take it; one of a hit that only grows to those that ask for order."""
        for taker in self._takers.get(key, ()):
            if opens or taker.takes_all:
                self._take(taker, event)

    def _report(self, rule: Rule, event: Matched) -> None:
        opening = self._opening(rule, event, {})
        state = StateKey(self._digests[rule.about.key], _group_key((opening.source,)))
        memory = self.states.get(state)
        self._hit(rule, memory, opening, 1)
        self.states.put(state, memory, None)

    def _take(self, taker: _Taker, event: Matched) -> None:
        texts, time = event.texts, event.time
        value: str | float | None = None
        group = None
        if taker.group_field is not None and type(text := texts[taker.group_field]) is str:
            group = taker.groups.get(text)
        if group is None and (group := self._group(taker, texts)) is None:
            self.dropped[taker.key, "no_group"] += 1
            return
        if taker.fields:
            if taker.value_field is not None and type(text := texts[taker.value_field]) is str:
                value = text[:1000]
            elif (value := _value(taker, texts)) is None:
                self.dropped[taker.key, "no_value"] += 1
                return
            if taker.learns:
                last = group.seen.get(value)
                if last is not None and last <= time < last + machines.REFRESH:
                    return
                self._note(group, value, time)
        if taker.follows and not self.states.has(group.key):
            return
        memory = self.states.get(group.key)
        if self._count(taker, memory, Match(time, taker.number, value), group.values, event):
            due = machines.end_of_window(taker.correlation, memory) if taker.waits else None
            self.states.put(group.key, memory, due)

    def _group(self, taker: _Taker, texts: Originals) -> _Group | None:
        """The group that the event is of; None where it lacks a field. A group of one field is kept for the next."""
        values = tuple([text if type(text := texts[field]) is str else ", ".join(text or ()) for field in taker.group])
        if not all(values):
            return None
        found = _Group(_state_key((taker.digest, _group_key(values))), values, {})
        if taker.group_field is not None:
            if len(taker.groups) >= _KNOWN:
                taker.groups.clear()
            taker.groups[values[0]] = found
        return found

    def _note(self, group: _Group, value: str | float, time: float) -> None:
        """Remember that a first_seen saw the value, so that nothing can come of it for a while."""
        self._noted += 1
        if self._noted > _KNOWN:
            self._forget_groups()
        group.seen[value] = time

    def _forget_groups(self) -> None:
        self._noted = 0
        for takers in self._takers.values():
            for taker in takers:
                taker.groups.clear()

    def _count(self, taker: _Taker, memory: Memory, match: Match, group: tuple[str, ...], event: Matched) -> bool:
        """Take the match; an open hit grows with each until there was a pause of one timespan. Whether it changed."""
        correlation = taker.correlation
        if taker.waits:
            self._collect(correlation, memory, match, self._opening(correlation, event, taker.named(group)))
            return True
        hit = None if taker.single or taker.ends else memory.get("hit")
        if hit is not None and abs(match.time - hit["last_at"]) <= correlation.timespan:
            self._hit(correlation, memory, self._opening(correlation, event, taker.named(group)), 1)
            self._pass_on(taker.key, event, False)
            return True
        outcome = taker.machine(correlation, memory, match)
        if outcome is Outcome.HOLDS:
            count = 1 if taker.single else machines.count_from(memory, match.time - correlation.timespan)
            if not taker.single:
                machines.clear(memory)
                memory.pop("hit", None)
            self._hit(correlation, memory, self._opening(correlation, event, taker.named(group)), count)
            self._pass_on(taker.key, event, True)
        elif outcome in (Outcome.LATE, Outcome.FORGOT):
            self.dropped[taker.key, outcome.value] += 1
        return outcome is not Outcome.SAME

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
        outcome = machines.keep_for_the_end(correlation, memory, match)
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

    def _opening(self, detection: Detection, event: Matched, group: Mapping[str, str]) -> Opening:
        texts = event.texts
        names = (*detection.about.source, *(_SOURCES if not group else ()))
        named = next((text for name in names if (text := texts[name])), None)
        source = named if type(named) is str else ", ".join(named or ())
        source = source or next((group[name] for name in _SOURCES if name in group), "")
        source = source or ", ".join(group.values()) or UNKNOWN
        values = {}
        if isinstance(detection, Correlation) and detection.kind == "first_seen":
            values = {name: str(texts[name])[:500] for name in detection.fields}
        short = {name: value[:500] for name, value in group.items()}
        return Opening(event.time, event.id, source[:SOURCE_CHARACTERS], short, event.correlation_id, values)


_state_key = partial(tuple.__new__, StateKey)  # half of the cost of making one by name


class Matched(msgspec.Struct, gc=False):
    """An event: when it happened, its ids, the rules that it matches, and its texts by field."""

    time: float
    id: str
    correlation_id: str | None
    rules: Sequence[Rule]
    texts: Originals


class _Group(msgspec.Struct):
    """What a group of a correlation is remembered under, the values of its fields, and what was seen in it lately."""

    key: StateKey
    values: tuple[str, ...]
    seen: dict[str | float, float]
    """By the value of a first_seen: when."""


class _Taker(msgspec.Struct, frozen=True):
    """A correlation as one that takes the matches of one detection."""

    correlation: Correlation
    number: int
    key: str
    digest: str
    group: tuple[str, ...]
    """The names of the fields, in the events of that detection."""
    group_field: str | None
    """The name where it is one."""
    fields: tuple[str, ...]
    value_field: str | None
    """The name where it is one, and its text is the value."""
    numeric: bool
    waits: bool
    single: bool
    """Whether each match by itself may be a hit."""
    ends: bool
    takes_all: bool
    learns: bool
    """Whether it only wants values that are new."""
    follows: bool
    """Whether nothing can come of the match where nothing was before it."""
    machine: machines.Machine
    groups: dict[str, _Group]
    """Groups met lately, by the text of their one field."""

    def named(self, group: tuple[str, ...]) -> dict[str, str]:
        """The values of the group by name."""
        return dict(zip(self.correlation.group_by, group, strict=True))


def _value(taker: _Taker, texts: Originals) -> str | float | None:
    found = [texts[field] for field in taker.fields]
    if any(text is None for text in found):
        return None
    joined = "\n".join([text if type(text) is str else ", ".join(text or ()) for text in found])
    if not taker.numeric:
        return joined[:1000]
    try:
        number = float(joined)
    except ValueError:
        return None
    return number if isfinite(number) else None


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


def _group_key(values: tuple[str, ...]) -> str:
    """The values as one short text that every database stores; no other values have the same."""
    text = _BETWEEN.join(values)
    if len(text) <= GROUP_CHARACTERS and "".join(values).isprintable() and not text.startswith(_HASHED):
        return text
    return _HASHED + hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _takers(correlations: Sequence[Correlation], digests: Mapping[str, str]) -> Mapping[str, list[_Taker]]:
    takers: dict[str, list[_Taker]] = defaultdict(list)
    for one in correlations:
        for number, key in enumerate((*one.rules, *((one.unless,) if one.unless else ()))):
            group = tuple(one.aliases.get(name, {}).get(key, name) for name in one.group_by)
            takers[key].append(
                _Taker(
                    correlation=one,
                    number=number,
                    key=one.about.key,
                    digest=digests[one.about.key],
                    group=group,
                    group_field=group[0] if len(group) == 1 else None,
                    fields=one.fields,
                    value_field=one.fields[0] if len(one.fields) == 1 and one.kind not in _NUMBERS else None,
                    numeric=one.kind in _NUMBERS,
                    waits=machines.waits_for_the_end(one),
                    single=_folds(one),
                    ends=number == len(one.rules),
                    takes_all=one.kind in ("temporal", "temporal_ordered", "sequence"),
                    learns=one.kind == "first_seen",
                    follows=one.kind == "sequence" and number > 0,
                    machine=machines.machine_of(one),
                    groups={},
                )
            )
    return takers


class MemoryStates:
    """States in memory, for test cases and backtests: at most `most` groups, the oldest is forgotten."""

    def __init__(self, most: int = 1_000_000) -> None:
        self._most = most
        self._memories: dict[StateKey, Memory] = {}
        self._due: dict[StateKey, float] = {}

    def get(self, key: StateKey) -> Memory:
        """As States says."""
        memory = self._memories.get(key)
        if memory is not None:
            return memory
        memory = self._memories[key] = {}
        if len(self._memories) > self._most:
            oldest = next(iter(self._memories))
            del self._memories[oldest]
            self._due.pop(oldest, None)
        return memory

    def has(self, key: StateKey) -> bool:
        """As States says."""
        return key in self._memories

    def put(self, key: StateKey, memory: Memory, due: float | None) -> None:
        """As States says."""
        if due is not None:
            self._due[key] = due
        elif self._due:
            self._due.pop(key, None)

    def due(self, now: float) -> Sequence[tuple[StateKey, Memory]]:
        """As States says."""
        ready = sorted((due, key) for key, due in self._due.items() if due < now)
        return [(key, self._memories[key]) for _, key in ready]
