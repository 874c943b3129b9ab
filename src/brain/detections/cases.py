"""Test cases of rules, in a file beside them: `sshd.test.yaml` for `sshd.yaml`.

    hits:
      - name: five refusals within a minute
        detection: refusals          # its name; may be left out where the file has one that reports
        events:
          - {type: policy.action_denied, payload: {agent_id: a1, action: delete}, times: 5, every: 10s}
    misses:
      - name: four
        ...

An event is one of the stream (`type`, `payload`) or of a log (`log: cloudtrail`, `record`). The first is at time 0; the
next one is `after` later (a second), and `times` repeats it, `every` so often. `{n}` in a text is the number of the
repetition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from brain.charter import Event
from brain.detections.engine import Engine, Hit, MemoryStates
from brain.detections.loading import Loaded, find_files, read_yaml
from brain.detections.machines import LATENESS
from brain.detections.projector import record_of
from brain.detections.ruleset import Record
from brain.detections.sigma_parser import Fault, seconds_of
from brain.errors import InvalidInput

BEGIN = 1_700_000_000.0
"""Unix seconds of the first event."""
_CASE = frozenset({"name", "detection", "events", "hits"})
_EVENT = frozenset({"type", "payload", "log", "record", "after", "times", "every"})
MOST_EVENTS = 100_000


class Case(NamedTuple):
    """A test case: these events make these detections hit, or do not."""

    path: str
    name: str
    is_hit: bool
    detections: Sequence[str]
    """Names; empty for all that report."""
    events: Sequence[Mapping[str, Any]]
    hits: int | None
    """How many hits exactly; None for any number."""


class CaseResult(NamedTuple):
    """What came of a case."""

    case: Case
    passed: bool
    found: Sequence[Hit]
    text: str


def cases_beside(path: Path) -> list[Case]:
    """The cases in the file beside a file of rules. Raises InvalidInput."""
    for suffix in (path.suffix, ".yaml", ".yml"):
        beside = path.with_name(f"{path.stem}.test{suffix}")
        if beside.is_file():
            return read_cases(beside)
    return []


def read_cases(path: Path) -> list[Case]:
    """The cases in a file. Raises InvalidInput."""
    documents = read_yaml(path)
    found = []
    for document in documents:
        if not isinstance(document, Mapping) or document.keys() - {"hits", "misses"}:
            raise InvalidInput(f"{path}: must have the lists hits and misses, and nothing else")
        for kind in ("hits", "misses"):
            found += [_case(path, one, kind == "hits") for one in document.get(kind) or ()]
    return found


def _case(path: Path, given: Any, is_hit: bool) -> Case:
    if not isinstance(given, Mapping) or given.keys() - _CASE or not isinstance(given.get("events"), list):
        raise InvalidInput(f"{path}: a case has {', '.join(sorted(_CASE))}; events is a list: {str(given)[:200]}")
    for event in given["events"]:
        if not isinstance(event, Mapping) or event.keys() - _EVENT or not {"type", "log"} & event.keys():
            raise InvalidInput(f"{path}: {given.get('name')}: an event has type and payload, or log and record")
    named = given.get("detection") or ()
    return Case(
        str(path),
        str(given.get("name") or ""),
        is_hit,
        (named,) if isinstance(named, str) else tuple(named),
        given["events"],
        given.get("hits"),
    )


def run_case(case: Case, loaded: Loaded) -> CaseResult:
    """Feed the case's events to a new engine. Raises InvalidInput for a bad event."""
    engine = Engine(loaded, MemoryStates())
    last = BEGIN
    for record in records_of(case):
        engine.feed(record)
        last = max(last, record.time)
    engine.watermark = last + 400 * 86_400.0 + LATENESS
    engine.end_windows()
    names = {one.about.key: one.about.name for one in loaded.detections}
    wanted = set(case.detections)
    found = [hit for hit in engine.drain() if not wanted or names[hit.detection] in wanted]
    enough = bool(found) if case.hits is None else len(found) == case.hits
    passed = enough and wanted <= {names[hit.detection] for hit in found} if case.is_hit else not found
    text = ", ".join(f"{names[hit.detection]} about {hit.source} ({hit.count})" for hit in found) or "no hit"
    return CaseResult(case, passed, found, text)


def records_of(case: Case) -> Iterator[Record]:
    """The events of a case. Raises InvalidInput."""
    at, number = BEGIN, 0
    try:
        for given in case.events:
            every = seconds_of(given["every"]) if "every" in given else 1.0
            after = given.get("after")
            at += 0.0 if after == 0 else seconds_of(after) if after is not None else float(number > 0)
            times = given.get("times", 1)
            for turn in range(times):
                at += every if turn else 0.0
                number += 1
                if number > MOST_EVENTS:
                    raise Fault(f"has more than {MOST_EVENTS} events")
                yield _record(_filled(given, turn), at, number)
    except (Fault, TypeError, ValueError) as error:
        raise InvalidInput(f"{case.path}: {case.name}: {error}") from error


def _filled(value: Any, turn: int) -> Any:
    """The value with the number of the repetition in its texts."""
    if isinstance(value, str):
        return value.replace("{n}", str(turn))
    if isinstance(value, Mapping):
        return {str(key): _filled(one, turn) for key, one in value.items()}
    return [_filled(one, turn) for one in value] if isinstance(value, list) else value


def _record(given: Mapping[str, Any], at: float, number: int) -> Record:
    if "log" in given:
        from brain.detections.sources import record_of_log

        return record_of_log(str(given["log"]), given.get("record"), at, f"case:{number}")
    module = str(given["type"]).partition(".")[0]
    payload = msgspec.to_builtins(given.get("payload") or {})
    event = Event(type=given["type"], source=f"{module}_service", payload=payload, timestamp=at)
    return record_of(event)


def files_with_cases(paths: Sequence[Path]) -> list[tuple[Path, list[Case]]]:
    """Each file of rules with its cases. Raises InvalidInput."""
    return [(path, cases_beside(path)) for path in find_files(paths)]
