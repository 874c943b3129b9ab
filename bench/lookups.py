"""How long it takes to find an id, a correlation id and a type among many events, and what the index costs.

`python -m bench.lookups [--events 2000000] [--backend sqlite|redis] [--alone] [--json]`. Beside each figure the same
search by reading everything, as it is without the index, in the same run (not with `--alone`). The second figure is
processor time of this process, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.places import place

EVENTS = 2_000_000
LOOKUPS = 50
CHAIN, BESIDE = 20, 10
"""Events of one correlation id, and how many such chains run beside each other."""
RARE = 200_000
"""One event in so many is of the rare type."""
_BATCH = 2000
_BASE = 1_790_000_000_000  # milliseconds


def run(
    events: int = EVENTS, backends: Sequence[str] = ("sqlite", "redis"), compare: bool = True
) -> list[dict[str, Any]]:
    """One row for each backend."""
    rows = []
    for kind in backends:
        with tempfile.TemporaryDirectory() as folder, place(kind, Path(folder)) as url:
            rows.append({"bench": "lookups", "backend": kind, "events": events, **_measured(url, events, compare)})
    return rows


def event_id(number: int) -> str:
    """The id of the n-th event, as the engine makes them."""
    return f"evt_policy_{_BASE + number // 4}_{number:012x}"


def correlation_id(number: int) -> str:
    """The correlation id of the n-th event."""
    return f"req-{number // (CHAIN * BESIDE)}-{number % BESIDE}"


def records(events: int) -> Iterator[list[bytes]]:
    """The events in batches: decisions of 600 bytes, and now and then one of a rare type."""
    for start in range(0, events, _BATCH):
        yield [_record(n) for n in range(start, min(start + _BATCH, events))]


def _record(n: int) -> bytes:
    at, kind = _BASE + n // 4, "threat.escalated" if n % RARE == RARE // 2 else "policy.rule_evaluated"
    payload = f'{{"agent_id":"agent-{n % 997}","action":"read","allowed":true,"effect":"ALLOW","note":"{"x" * 250}"}}'
    meta = f'{{"correlation_id":"{correlation_id(n)}","version":"1.0"}}'
    return (
        f'{{"id":"{event_id(n)}","type":"{kind}","source":"policy_service","target":null,"timestamp":{at / 1000},'
        f'"payload":{payload},"meta":{meta}}}'
    ).encode()


def _measured(url: str, events: int, compare: bool) -> dict[str, Any]:
    from brain.stream.backends import open_backend
    from brain.stream.event_index import index_of

    backend = open_backend(url)
    mark = ""
    for number, batch in enumerate(records(events), 1):
        backend.append("bench", mark, str(number), batch)
        mark = str(number)
    without = _lookups(backend, events, 1) if compare else {}
    began, longest = time.process_time(), 0.0
    index = index_of(backend)
    while True:
        before = time.perf_counter()
        more = index.advance()
        longest = max(longest, time.perf_counter() - before)
        if not more:
            break
    building = time.process_time() - began
    found = _lookups(backend, events, LOOKUPS)
    backend.close()
    return {
        "index_cpu_seconds": building,
        "index_us_per_event": building / events * 1e6,
        "longest_step_ms": longest * 1000,
        "ms": found,
        "ms_without_index": without,
    }


def _lookups(backend: Any, events: int, times: int) -> dict[str, tuple[float, float]]:
    """Milliseconds passed and of this process, the medians of so many lookups of each kind."""
    from brain.charter import Pattern
    from brain.stream.query import EventQuery, Stretch, find_event, read
    from brain.stream.timeline import find_timeline

    chance = random.Random(1)
    newest = Stretch(newest_first=True)

    def known_id() -> None:
        wanted = event_id(chance.randrange(events))
        found = find_event(backend, wanted)
        assert found is not None
        assert found.event.id == wanted

    def unknown_id() -> None:
        assert find_event(backend, f"evt_policy_{_BASE + chance.randrange(events // 4)}_{'f' * 12}") is None

    def correlation() -> None:
        assert len(find_timeline(backend, correlation_id(chance.randrange(events)))) == CHAIN

    def unknown_correlation() -> None:
        assert not find_timeline(backend, f"nobody-{chance.random()}")

    def rare_type() -> None:
        page = read(backend, EventQuery(pattern=Pattern("threat.escalated")), newest, 1)
        assert len(page.events) == 1

    def unknown_type() -> None:
        assert not read(backend, EventQuery(pattern=Pattern("never.seen")), newest, 1).events

    kinds = (known_id, unknown_id, correlation, unknown_correlation, rare_type, unknown_type)
    return {kind.__name__: _median(kind, times) for kind in kinds}


def _median(work: Callable[[], None], times: int) -> tuple[float, float]:
    passed, used = [], []
    for _ in range(times):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        passed.append((time.perf_counter() - began) * 1000)
        used.append((time.process_time() - began_cpu) * 1000)
    return statistics.median(passed), statistics.median(used)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = []
    for row in rows:
        lines.append(
            f"{row['backend']}: {row['events']:,} events; index made in {row['index_cpu_seconds']:.1f} s of CPU "
            f"({row['index_us_per_event']:.1f} us an event, longest step {row['longest_step_ms']:.1f} ms)"
        )
        for kind, (passed, used) in row["ms"].items():
            before = row["ms_without_index"].get(kind)
            beside = f"; without the index {before[0]:10,.0f} ms" if before else ""
            lines.append(f"  {kind:<20} {passed:8.2f} ms, {used:6.2f} ms of CPU{beside}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--backend", choices=("sqlite", "redis"), action="append")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = run(chosen.events, chosen.backend or ("sqlite", "redis"), not chosen.alone)
    sys.stdout.write((json.dumps(rows) if chosen.json else table(rows)) + "\n")


if __name__ == "__main__":
    main()
