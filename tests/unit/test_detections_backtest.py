"""Backtests: the same hits by one process, by several, and by an engine that is fed event by event."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest

from brain import Event
from brain.charter import Pattern
from brain.detections import backtest as backtests
from brain.detections.backtest import backtest
from brain.detections.engine import Engine, Hit, MemoryStates
from brain.detections.folding import fold
from brain.detections.loading import Loaded
from brain.detections.matching_processes import match_pages
from brain.detections.projector import patterns, record_of
from brain.errors import Unavailable
from brain.stream.backends.memory import MemoryBackend
from support.detecting import loaded

RULES = """
title: Refused
name: refused
level: informational
logsource: {product: brain, category: policy.action_denied}
detection: {any: {agent_id: '*'}, condition: any}
---
title: Taken away
name: taken_away
level: medium
logsource: {product: brain, service: policy}
detection: {taken: {event.type: [policy.rule_deleted], rule.effect: DENY}, condition: taken}
brain: {source: [by, event.meta.traceparent], fold: 1h}
---
title: Not of this type
name: not_of_this_type
level: low
logsource: {product: brain, service: policy}
detection: {created: {event.type: policy.rule_created}, denied: {event.type|endswith: denied}, loud: {loud: true},
            condition: loud and not created and not denied}
---
title: Five
name: five
level: high
correlation: {type: event_count, rules: [refused], group-by: [agent_id], timespan: 1m, condition: {gte: 5}}
---
title: Many
name: many
correlation: {type: value_count, rules: [refused], group-by: [agent_id, action], timespan: 2m,
              condition: {field: resource, gte: 3}}
---
title: Few
name: few
correlation: {type: event_count, rules: [refused], timespan: 30s, condition: {lt: 17}}
---
title: Sum
name: sum
correlation:
  {type: value_sum, rules: [refused], group-by: [agent_id], timespan: 1m, condition: {field: cost, gte: 9}}
---
title: New
name: new
brain: {type: first_seen, rules: [refused], group-by: [agent_id], field: resource, learn: 1m}
---
title: Five and taken away
name: five_and_taken
correlation: {type: temporal, rules: [five, taken_away], timespan: 10m}
"""


@cache
def events(count: int) -> Sequence[Event]:
    return [*_events(count)]


def _events(count: int) -> Iterator[Event]:
    for number in range(count):
        agent = f"a{number % 7 if number % 5 else 0}"
        refused: dict[str, Any] = {
            "agent_id": agent if number % 31 else None, "action": ["read", "write"] if number % 3 else "read",
            "resource": f"r{number * number % 11}", "cost": number % 4 if number % 13 else "dear",
        }  # fmt: skip
        meta = {"correlation_id": f"c{number // 9}", "traceparent": "00-ab-cd-01"}
        time = 1_000.0 + number * 1.5 - (400.0 if number % 29 == 0 else 0.0)
        what = ("policy.action_denied", "policy.rule_deleted", "policy.rule_created", "immune.event_published")
        kind = what[0 if number % 6 else number // 6 % 4]
        payload = refused if kind == what[0] else {"rule": {"effect": "DENY"}, "loud": True}
        if number % 17 == 0:
            payload = {**payload, "event": {"type": "policy.rule_deleted"}, "rule": {"effect": "DENY"}}
        yield Event(type=kind, source="policy_service", timestamp=time, payload=payload, meta=meta)


@pytest.fixture
def recorded() -> MemoryBackend:
    backend = MemoryBackend()
    rows = [event.encode() for event in events(900)]
    backend.append("test", "", "1", [*rows[:100], b"no event", b'{"type": "policy.action_denied"}', *rows[100:]])
    return backend


def fed_one_by_one(found: Loaded) -> tuple[dict[str, Hit], dict[str, int]]:
    """What an engine finds without pages: each event of a type that a rule is about, one after the other."""
    engine, hits = Engine(found, MemoryStates()), {}
    wanted = Pattern([*patterns(found.rules)])
    for event in events(900):
        if wanted.matches(event.type):
            engine.feed(record_of(event))
            hits.update({hit.id: hit for hit in engine.drain()})
    engine.watermark += 400 * 86_400.0
    engine.end_windows()
    hits.update({hit.id: hit for hit in engine.drain()})
    return hits, {f"{key} {reason}": count for (key, reason), count in sorted(engine.dropped.items())}


@pytest.mark.parametrize("processes", [0, 1, pytest.param(3, marks=pytest.mark.long)])
def test_the_hits_are_those_of_an_engine_that_is_fed(
    processes: int, recorded: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtests, "PAGE", 70)
    monkeypatch.setattr(backtests, "LONG", 2)
    found = loaded(RULES)
    assert found.problems == []
    tried = backtest(recorded, found, 0.0, 1e10, processes=processes)
    hits, dropped = fed_one_by_one(found)
    assert tried.hits == hits
    assert tried.dropped == dropped
    assert {hit.detection for hit in hits.values()} == {one.about.key for one in found.detections if one.about.reports}
    assert tried.events == 902


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="blocked signals are read from /proc")
def test_processes_leave_an_interruption_to_the_one_that_started_them(recorded: MemoryBackend) -> None:
    page = [entry.data for entry in recorded.read("", 10)]
    others = multiprocessing.active_children()
    matched = match_pages(repeat(page), loaded(RULES), (0.0, 1e10), 1)
    next(matched)
    [process] = [one for one in multiprocessing.active_children() if one not in others]
    assert (_blocks_interrupts("self"), _blocks_interrupts(process.pid)) == (False, True)
    matched.close()  # type: ignore[attr-defined]


def _blocks_interrupts(pid: object) -> bool:
    """Whether SIGINT is blocked in the main thread of the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1]
    return bool(int(mask, 16) & 1 << signal.SIGINT - 1)


def test_a_process_that_is_killed_is_said(recorded: MemoryBackend) -> None:
    page = [entry.data for entry in recorded.read("", 50)]
    others = multiprocessing.active_children()
    matched = match_pages(repeat(page), loaded(RULES), (0.0, 1e10), 1)
    assert next(matched).events == 50
    [process] = [one for one in multiprocessing.active_children() if one not in others]
    process.kill()
    process.join()
    with pytest.raises(Unavailable, match="--processes 0"):
        list(islice(matched, 3))


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (("field", "event.type", ("eq", "a.b")), True),
        (("field", "event.type", ("eq", "a.c")), False),
        (("field", "event.type", ("starts=", "A.")), False),
        (("field", "event.type", ("empty",)), False),
        (("not", ("field", "event.type", ("some",))), False),
        (("field", "x", ("same", "event.type", "eq")), None),
        (("and", [("field", "event.type", ("eq", "a.b")), ("field", "x", ("eq", "1"))]), ("field", "x", ("eq", "1"))),
        (("and", [("field", "event.type", ("eq", "no")), ("field", "x", ("eq", "1"))]), False),
        (("or", [("field", "event.type", ("eq", "a.b")), ("field", "x", ("eq", "1"))]), True),
        (("or", [("field", "event.type", ("eq", "no")), ("not", ("field", "x", ("eq", "1")))]),
         ("not", ("field", "x", ("eq", "1")))),
    ],
)  # fmt: skip
def test_what_the_type_decides_is_decided_once(tree: Any, expected: Any) -> None:
    assert fold(tree, "event.type", "a.b") == (tree if expected is None else expected)
