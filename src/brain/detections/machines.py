"""What a correlation remembers of one group, and when its condition holds. All times are those of the events.

A memory is a plain dict that JSON can hold, and what a machine does depends on the events alone, in the order in which
they come: so a replay gives the same. Windows slide; an event may come late by up to LATENESS, or by the timespan where
that is less; what comes later than that counts for nothing and is counted as dropped.

`at_least` kinds hold at an event. `lt`, `lte`, `eq` and `neq` cannot: another event may come. They are asked once at
the end of a window, which begins with the first event after the window before.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import Any

import msgspec

from brain.detections.models import Correlation, Tree

LATENESS = 300.0
"""Seconds by which an event may come after a later one of its group."""
MOST_ENTRIES = 10_000
"""Events that one group remembers; the oldest beyond are forgotten, and counted."""
MOST_VALUES = 1_000
"""Values that one group of a first_seen remembers; the one not seen for longest is forgotten."""
_GRAIN = 64  # a window tells times apart that are further from each other than this part of it
REFRESH = 3600.0
"""Seconds after which it is noted again that a known value was seen."""
_LEARNING = 0.1  # the weight of a new bucket in a rate's baseline

Memory = dict[str, Any]


class Match(msgspec.Struct, gc=False):
    """A match that a correlation takes."""

    time: float
    number: int
    """Which of the correlation's detections matched."""
    value: str | float | None = None
    """The value of its field, where the kind has one."""

    @property
    def entry(self) -> list[Any]:
        """As it is remembered."""
        return [self.time, self.number, self.value]


class Outcome(StrEnum):
    """What came of a match."""

    QUIET = "quiet"
    SAME = "same"
    """Nothing came of it, and the memory is as it was."""
    HOLDS = "holds"
    LATE = "late"
    FORGOT = "forgot"
    """It was taken, and the oldest event was forgotten for it."""


_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "gte": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
}


def waits_for_the_end(correlation: Correlation) -> bool:
    """Whether its condition is asked at the end of a window."""
    return correlation.op in ("lt", "lte", "eq", "neq") and correlation.kind not in ("sequence", "first_seen", "rate")


Machine = Callable[[Correlation, Memory, Match], Outcome]
"""Takes a match into the memory, and says whether the condition holds now."""


def machine_of(correlation: Correlation) -> Machine:
    """What takes its matches."""
    if correlation.kind == "first_seen":
        return _first_seen
    if correlation.kind == "rate":
        return _rate
    return keep_for_the_end if waits_for_the_end(correlation) else _slide


def end_of_window(correlation: Correlation, memory: Memory) -> float | None:
    """When the memory's window ends; None where it waits for none."""
    start = memory.get("start")
    return None if start is None else start + correlation.timespan


def close_window(correlation: Correlation, memory: Memory) -> bool:
    """End the window; whether its condition held."""
    entries = memory.pop("events", [])
    count = memory.pop("count", len(entries))
    memory.pop("start", None)
    value = float(count) if correlation.kind == "event_count" else _measure(correlation, entries)
    return value is not None and _COMPARE[correlation.op](value, correlation.threshold)


def count_from(memory: Memory, time: float) -> int:
    """How many events the window that held has, from this time on."""
    entries = memory.get("events", [])
    return max(1, len(entries) - bisect_left(entries, time, key=_time))


def clear(memory: Memory) -> None:
    """Forget the window that held: what comes next begins a new one."""
    memory["events"] = []


def keep_for_the_end(correlation: Correlation, memory: Memory, match: Match) -> Outcome:
    """Take a match of a condition that is asked at the end of a window."""
    memory["start"] = min(memory.get("start", match.time), match.time)
    memory["count"] = memory.get("count", 0) + 1
    if correlation.kind == "event_count":
        return Outcome.QUIET
    entries = memory.setdefault("events", [])
    entries.append(match.entry)
    return _bounded(entries)


def _slide(correlation: Correlation, memory: Memory, match: Match) -> Outcome:
    entries: list[list[Any]] = memory.get("events") or memory.setdefault("events", [])
    span = correlation.timespan
    newest = entries[-1][0] if entries else match.time
    if match.time < newest - min(span, LATENESS):
        return Outcome.LATE
    if not entries and match.number and correlation.kind == "sequence":
        return Outcome.SAME
    if correlation.unless is not None and match.number == len(correlation.rules):
        entries[:] = [one for one in entries if one[0] > match.time]
        return Outcome.QUIET
    at = _insert(correlation, entries, match.entry)
    _forget_before(entries, max(newest, match.time) - span - min(span, LATENESS))
    at = min(at, len(entries) - 1)
    for last in range(at, len(entries)):
        if entries[last][0] > match.time + span:
            break
        first = bisect_left(entries, entries[last][0] - span, key=_time)
        if _holds(correlation, entries, first, last + 1):
            return Outcome.HOLDS
    return _bounded(entries, _needed(correlation))


def _time(entry: Sequence[Any]) -> float:
    time: float = entry[0]
    return time


def _insert(correlation: Correlation, entries: list[list[Any]], entry: list[Any]) -> int:
    """Put the entry in by its time, after those of the same time; where it is now.

    One like the last is put in its place where nothing is lost by that: no window that ends later can tell.
    """
    if not entries or entries[-1][0] <= entry[0]:
        if (like := _replaceable(correlation, entries, entry)) is not None:
            del entries[like]
        entries.append(entry)
        return len(entries) - 1
    at = len(entries)
    while at and entries[at - 1][0] > entry[0]:
        at -= 1
    entries.insert(at, entry)
    return at


def _replaceable(correlation: Correlation, entries: list[list[Any]], entry: list[Any]) -> int | None:
    grain = correlation.timespan / _GRAIN
    if correlation.kind == "value_count":
        for at in range(len(entries) - 1, -1, -1):
            if entries[at][0] < entry[0] - grain:
                return None
            if entries[at][2] == entry[2]:
                return at
    elif correlation.kind == "temporal" and entries and entries[-1][1] == entry[1]:
        return len(entries) - 1 if entries[-1][0] >= entry[0] - grain else None
    elif correlation.kind in ("temporal_ordered", "sequence"):
        count = correlation.steps[entry[1]] if correlation.steps else 1
        if len(entries) >= count and all(one[1] == entry[1] for one in entries[-count:]):
            return len(entries) - count
    return None


def _forget_before(entries: list[list[Any]], time: float) -> None:
    if entries and entries[0][0] < time:
        del entries[: bisect_left(entries, time, key=_time)]


def _needed(correlation: Correlation) -> int:
    """Events that are enough to know whether the condition holds."""
    if correlation.kind != "event_count":
        return MOST_ENTRIES
    return min(MOST_ENTRIES, int(correlation.threshold) + 64)


def _bounded(entries: list[list[Any]], most: int = MOST_ENTRIES) -> Outcome:
    if len(entries) <= most:
        return Outcome.QUIET
    del entries[: len(entries) - most]
    return Outcome.FORGOT


def _holds(correlation: Correlation, entries: list[list[Any]], first: int, end: int) -> bool:
    kind = correlation.kind
    if kind == "event_count":
        return _COMPARE[correlation.op](end - first, correlation.threshold)
    if kind == "temporal":
        there = {one[1] for one in entries[first:end]}
        if correlation.expression is not None:
            return _satisfied(correlation.expression, {correlation.rules[number] for number in there})
        return _COMPARE[correlation.op](len(there), correlation.threshold)
    if kind in ("temporal_ordered", "sequence"):
        return _in_order(correlation, entries, first, end)
    value = _measure(correlation, entries[first:end])
    return value is not None and _COMPARE[correlation.op](value, correlation.threshold)


def _satisfied(tree: Tree, there: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in there
    return (all if tree[0] == "and" else any)(_satisfied(one, there) for one in tree[1])


def _in_order(correlation: Correlation, entries: list[list[Any]], first: int, end: int) -> bool:
    """Whether the matches came in the order of the rules, those of the last one last."""
    if correlation.expression is not None:
        order = {key: number for number, key in enumerate(correlation.rules)}
        return any(_ends_with(entries, first, end, sorted(order[key] for key in way), ()) for way in
                   _ways(correlation.expression))  # fmt: skip
    numbers = range(len(correlation.rules))
    if correlation.kind == "temporal_ordered" and correlation.threshold < len(correlation.rules):
        numbers = range(max(1, int(correlation.threshold)))
    return _ends_with(entries, first, end, numbers, correlation.steps)


def _ways(tree: Tree) -> list[frozenset[str]]:
    """The sets of rules that satisfy an expression, one for each way."""
    if isinstance(tree, str):
        return [frozenset({tree})]
    inner = [_ways(one) for one in tree[1]]
    if tree[0] == "or":
        return [way for ways in inner for way in ways]
    found: list[frozenset[str]] = [frozenset()]
    for ways in inner:
        found = [one | way for one in found for way in ways]
    return found


def _ends_with(entries: list[list[Any]], first: int, end: int, numbers: Sequence[int], steps: Sequence[int]) -> bool:
    wanted = [number for number in numbers for _ in range(steps[number] if steps else 1)]
    for at in range(end - 1, first - 1, -1):
        if entries[at][1] == wanted[-1]:
            wanted.pop()
            if not wanted:
                return True
    return False


def _measure(correlation: Correlation, entries: Sequence[Sequence[Any]]) -> float | None:
    """What the values of the entries come to; None where there are none."""
    if correlation.kind == "value_count":
        return float(len({one[2] for one in entries if one[2] is not None}))
    numbers = [one[2] for one in entries if one[2] is not None]
    if not numbers:
        return None
    match correlation.kind:
        case "value_sum":
            return float(sum(numbers))
        case "value_avg":
            return float(sum(numbers)) / len(numbers)
        case "value_median":
            return float(median(numbers))
    ordered: list[float] = []
    for number in numbers:
        insort(ordered, number)
    return _percentile(ordered, correlation.percentile or 0.0)


def _percentile(ordered: Sequence[float], percent: float) -> float:
    """Between two values in proportion, as SQL's percentile_cont does."""
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _first_seen(correlation: Correlation, memory: Memory, match: Match) -> Outcome:
    began = memory.setdefault("began", match.time)
    values: dict[str, float] = memory.setdefault("values", {})
    value = str(match.value)
    known = values.get(value)
    if known is not None and known <= match.time < known + REFRESH:
        return Outcome.SAME
    values.pop(value, None)
    values[value] = match.time if known is None else max(known, match.time)
    outcome = Outcome.QUIET
    if len(values) > MOST_VALUES:
        del values[next(iter(values))]
        outcome = Outcome.FORGOT
    if known is not None or match.time < began + correlation.learn:
        return outcome
    return Outcome.HOLDS


def _rate(correlation: Correlation, memory: Memory, match: Match) -> Outcome:
    bucket = int(match.time // correlation.timespan)
    current = memory.setdefault("bucket", bucket)
    if bucket < current:
        return Outcome.LATE
    if bucket > current:
        _learn(correlation, memory, bucket - current)
        memory["bucket"] = bucket
    count = memory["count"] = memory.get("count", 0) + 1
    if count <= correlation.threshold or memory.get("learned", 0) < correlation.learn:
        return Outcome.QUIET
    if count <= _limit(correlation, memory):
        return Outcome.QUIET
    return Outcome.HOLDS


def _limit(correlation: Correlation, memory: Memory) -> float:
    """The most that is usual in a bucket: its mean and some deviations, of at least the square root of the mean."""
    mean, deviation = memory.get("mean", 0.0), memory.get("deviation", 0.0)
    usual: float = mean + correlation.factor * max(deviation, mean**0.5, 1.0)
    return max(usual, correlation.threshold)


def _learn(correlation: Correlation, memory: Memory, passed: int) -> None:
    """Learn the bucket that ended, and the empty ones after it; what was above the limit counts as the limit."""
    count = float(memory.pop("count", 0))
    learned = memory.get("learned", 0)
    if learned >= correlation.learn:
        count = min(count, _limit(correlation, memory))
    for seen in (count, *([0.0] * min(passed - 1, 100))):
        weight = max(_LEARNING, 1 / (learned + 1))
        mean = memory.get("mean", 0.0)
        memory["deviation"] = memory.get("deviation", 0.0) * (1 - weight) + abs(seen - mean) * weight * bool(learned)
        memory["mean"] = mean + (seen - mean) * weight
        learned += 1
    memory["learned"] = learned
