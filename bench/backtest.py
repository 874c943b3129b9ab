"""Detections on what is recorded: a backtest of the package's own rules, and many rules of others on events one by one.

`python -m bench.backtest [--events N] [--rounds N]` prints events a second and a CPU second of a backtest over a
stream on SQLite. Of its events 70 % are decisions of 300 agents, 8 % refusals, the others are of types that no rule is
about. With `--sigma FOLDER`, a checkout of SigmaHQ/sigma that is never part of this repository, its `rules/` are asked
about the events recorded in its `regression_data/`, which are of Windows, and about ordinary events made from them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EVENTS = 200_000
ROUNDS = 3
AGENTS = 300
_START = 1_790_000_000.0
_TIMES = 20  # each recorded event is asked about so often, with other numbers in its texts


def decisions(count: int, seed: int = 1) -> Iterator[Any]:
    """The events of a fleet of agents, a hundred a second."""
    from brain import Event

    chance = random.Random(seed)
    actions = [f"{noun}.{verb}" for noun in ("db", "file", "mail", "ticket", "deploy") for verb in
               ("read", "list", "update", "delete", "create", "send")]  # fmt: skip
    own = [chance.sample(actions, 12) for _ in range(AGENTS)]
    for number in range(count):
        agent = chance.randrange(AGENTS)
        asked: dict[str, Any] = {
            "agent_id": f"agent-{agent}",
            "agent_role": ("guest", "worker", "operator")[agent % 3],
            "action": chance.choice(own[agent]),
            "resource": f"table/{chance.randrange(200)}",
        }
        ruled = {"rule_id": f"rule-{agent % 7}", "rule_name": "One of seven", "reason": "It says so."}
        common: dict[str, Any] = {"timestamp": _START + number / 100, "meta": {"correlation_id": f"cor-{number // 3}"}}
        what = chance.random()
        if what < 0.7:
            more = {"environment": {"zone": "eu-1"}, "params": {"rows": chance.randrange(99), "note": "as every day"}}
            more |= {"effect": "ALLOW", "allowed": True, "warnings": [], "evaluation_time_us": 0.62}
            yield Event(type="policy.rule_evaluated", source="policy_service", payload=asked | more | ruled, **common)
        elif what < 0.78:
            yield Event(type="policy.action_denied", source="policy_service", payload=asked | ruled, **common)
        else:
            payload = {"module": f"part-{agent}", "severity": "LOW", "message": "A reading.", "value": what}
            yield Event(type="immune.event_published", source="immune_service", payload=payload, **common)


def run(events: int, rounds: int) -> dict[str, Any]:
    """Figures of a backtest of the package's own rules, and what it found."""
    from brain.detections import loading
    from brain.detections.backtest import backtest
    from brain.stream.backends.sqlite import SQLiteBackend

    with tempfile.TemporaryDirectory() as folder:
        backend = SQLiteBackend(f"sqlite:///{folder}/brain.db")
        records = [event.encode() for event in decisions(events)]
        for start in range(0, events, 5_000):
            backend.append("bench", "" if not start else str(start), str(start + 5_000), records[start : start + 5_000])
        loaded = loading.load([], with_shipped=True)
        rates, busy = [], []
        for _ in range(rounds):
            began, worked = time.perf_counter(), _cpu()
            found = backtest(backend, loaded, 0.0, 1e11)
            rates.append(events / (time.perf_counter() - began))
            busy.append(events / (_cpu() - worked))
            assert found.events == events
        backend.close()
    hits = sum(hit.count for hit in found.hits.values())
    return {"what": "own rules", "rates": rates, "cpu_rates": busy, "hits": len(found.hits), "matches": hits}


def _cpu() -> float:
    """CPU seconds of this process and of those that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run_sigma(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Figures of SigmaHQ's rules, one row for each kind of events."""
    from brain.detections import loading
    from brain.detections.models import Rule
    from brain.detections.ruleset import RuleSet

    found, problems = loading.read_files(loading.find_files([folder / "rules"]))
    assert not problems, problems
    rules = [one for one in found if isinstance(one, Rule)]
    rows = []
    for what, records in {"attacks on Windows": _recorded(folder), "ordinary work": _ordinary(folder)}.items():
        ruled = RuleSet(rules)
        hits = [[rule.about.key for rule in ruled.match(record)[0]] for record in records]  # each kind is compiled now
        rates, busy = [], []
        for _ in range(rounds):
            began, worked = time.perf_counter(), _cpu()
            for record in records:
                ruled.match(record)
            rates.append(len(records) / (time.perf_counter() - began))
            busy.append(len(records) / (_cpu() - worked))
        rows.append(
            {"what": f"{len(rules):,} rules, {what}", "rates": rates, "cpu_rates": busy, "hits": sum(map(len, hits)),
             "matches": sum(map(bool, hits))}
        )  # fmt: skip
    return rows


def _recorded(folder: Path) -> list[Any]:
    """The recorded events, each several times with other digits, so that no text comes twice."""
    from brain.detections.ruleset import Record
    from brain.detections.sources import plain_json

    chance, decoder, records = random.Random(1), json.JSONDecoder(), []
    for path in sorted((folder / "regression_data").rglob("*.json")):
        text, at = path.read_text("utf-8"), 0
        while rest := text[at:].lstrip():
            event, at = decoder.raw_decode(text, len(text) - len(rest))
            for _ in range(_TIMES):
                read = plain_json(_varied(event, chance))
                assert read is not None
                records.append(Record(read.data, read.kind, read.time or 0.0, read.id))
    return records


def _varied(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        return {name: _varied(one, chance) for name, one in value.items()}
    if isinstance(value, list):
        return [_varied(one, chance) for one in value]
    if isinstance(value, str) and len(value) > 12:
        return f"{value[:-1]}{chance.randrange(10**6)}{value[-1]}" if chance.random() < 0.3 else value
    return value


_PROGRAMS = ("C:\\Program Files\\Editor\\editor.exe", "C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\explorer.exe")


def _ordinary(folder: Path) -> list[Any]:
    """The same kinds of events with the texts of everyday programs."""
    from brain.detections.ruleset import Record

    chance, records = random.Random(2), []
    for one in _recorded(folder):
        data = {
            name: f"{chance.choice(_PROGRAMS)} /document {chance.randrange(10**6)}" if "\\" in str(value) else value
            for name, value in one.data.items()
        }
        records.append(Record(data, one.kind, one.time, one.id))
    return records


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    rates = " ".join(f"{rate:,.0f}" for rate in row["rates"])
    return (
        f"{row['what']:<36} [{rates}] events/s, {statistics.median(row['cpu_rates']):,.0f} a CPU second; "
        f"{row['hits']} hits of {row['matches']}"
    )


def main() -> None:
    """Print the table."""
    from brain.garbage import collect_seldom

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=EVENTS)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    arguments.add_argument("--sigma", type=Path, help="a checkout of SigmaHQ/sigma: also measure its rules")
    given = arguments.parse_args()
    collect_seldom()  # as commands do
    print(line(run(given.events, given.rounds)), flush=True)
    for row in run_sigma(given.sigma, given.rounds) if given.sigma else ():
        print(line(row), flush=True)


if __name__ == "__main__":
    main()
