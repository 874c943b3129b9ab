"""Detections from text, and events for them, in memory."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from brain.detections.compiler import Compiler
from brain.detections.engine import Engine, Hit, MemoryStates
from brain.detections.loading import Loaded, link
from brain.detections.models import LogKind, Problem
from brain.detections.own_documents import is_own, parse_own
from brain.detections.ruleset import Record
from brain.detections.sigma_parser import parse_documents
from brain.detections.values import Lowered, Originals

KIND = LogKind(product=("test",))


def loaded(text: str) -> Loaded:
    """The detections of these documents."""
    documents = [one for one in yaml.safe_load_all(textwrap.dedent(text)) if one is not None]
    found, problems = parse_documents([one for one in documents if not is_own(one)], "rules.yaml")
    own: list[Any] = [parse_own(one, "rules.yaml") for one in documents if is_own(one)]
    faults = [one for one in own if isinstance(one, Problem)]
    return link([*found, *(one for one in own if not isinstance(one, Problem))], [*problems, *faults])


def matches(detection: str, event: Any) -> bool:
    """Whether a rule with this selection matches the event."""
    rule = f"title: t\nlogsource: {{product: test}}\ndetection:\n  s: {detection}\n  condition: s\n"
    found = loaded(rule)
    assert found.problems == []
    [one] = found.rules
    originals = Originals(event)
    return bool(Compiler().predicate(one.tree)(Lowered(originals), originals))


def problems(text: str) -> list[str]:
    """What is wrong with these documents."""
    return [one.text for one in loaded(text).problems]


def engine_of(text: str) -> Engine:
    """An engine for these documents."""
    found = loaded(text)
    assert found.problems == []
    return Engine(found, MemoryStates())


def record(at: float, number: int, **data: Any) -> Record:
    """An event."""
    return Record(data, KIND, at, f"e{number}")


def feed(engine: Engine, events: Iterable[tuple[float, dict[str, Any]]]) -> Sequence[Hit]:
    """The hits that come of events, each with its time."""
    for number, (at, data) in enumerate(events):
        engine.feed(record(at, number, **data))
    return engine.drain()


def rule(name: str, **values: Any) -> str:
    """A rule on these values, as YAML."""
    return yaml.safe_dump(
        {"title": name, "name": name, "logsource": {"product": "test"}, "detection": {"s": values, "condition": "s"}}
    )


def stream_events(count: int) -> list[bytes]:
    """Refusals of a few agents, a few of them late, as they are stored in a stream."""
    import random

    from brain import Event

    chance, at, found = random.Random(7), 1_700_000_000.0, []
    for _ in range(count):
        at += chance.expovariate(0.2)
        late = chance.uniform(0, 25) if chance.random() < 0.1 else 0.0
        payload = {"agent_id": f"a{chance.randrange(4)}", "action": "read", "resource": f"db/{chance.randrange(40)}"}
        event = Event(type="policy.action_denied", source="policy_service", payload=payload, timestamp=at - late)
        found.append(event.encode())
    return found
