"""Rules, records and logs of others, read from copies that the environment names; none of them is in this repository.

SIGMA names a checkout of SigmaHQ/sigma, FAIL2BAN one of fail2ban/fail2ban, OPENSSH_LOG Loghub's OpenSSH_2k.log, and
CLOUDTRAIL_LOG records of CloudTrail, an object a line in gzip, whose attacks say `stratus-red-team` as their agent.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from brain.detections import loading
from brain.detections.compiler import Compiler
from brain.detections.engine import Engine, MemoryStates
from brain.detections.loading import Loaded
from brain.detections.ruleset import Record
from brain.detections.sources import cloudtrail, plain_json
from brain.detections.values import Lowered, Originals
from brain.kit.sshd.attempts import SshdAttempts
from brain.kit.sshd.lines import read_line

SIGMA, FAIL2BAN, OPENSSH_LOG, CLOUDTRAIL_LOG = (
    os.environ.get(name, "") for name in ("SIGMA", "FAIL2BAN", "OPENSSH_LOG", "CLOUDTRAIL_LOG")
)
FOLDERS = ("rules", "rules-emerging-threats", "rules-threat-hunting")


def needs(value: str, name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not value, reason=f"{name} names no copy")


@pytest.mark.timeout(900)
@needs(SIGMA, "SIGMA")
def test_every_rule_of_sigmahq_loads_and_compiles() -> None:
    files = loading.find_files([Path(SIGMA) / "rules"])
    found, problems = loading.read_files(files)
    rules = loading.link(found, problems)
    assert [*problems, *rules.problems] == []
    assert len(found) >= 3_000
    compiler = Compiler()
    assert all(callable(compiler.predicate(rule.tree)) for rule in rules.rules)


@pytest.mark.timeout(900)
@needs(SIGMA, "SIGMA")
def test_the_events_beside_the_rules_match_them() -> None:
    ids = {}
    for path in (path for folder in FOLDERS for path in (Path(SIGMA) / folder).rglob("*.yml")):
        if said := re.search(r"^id: ['\"]?([\w-]+)", path.read_text("utf-8"), re.MULTILINE):
            ids[said[1]] = path
    matched, missed = 0, []
    for info in (Path(SIGMA) / "regression_data").rglob("info.yml"):
        rule = ids[yaml.safe_load(info.read_text("utf-8"))["rule_metadata"][0]["id"]]
        found, _ = loading.read_files([rule])
        for recorded in info.parent.glob("*.json"):
            if any(_matches(found[0], event) for event in _events(recorded.read_text("utf-8"))):
                matched += 1
            else:
                missed.append(str(recorded))
    assert matched + len(missed) >= 202
    assert len(missed) <= 1, missed


def _events(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        event, at = decoder.raw_decode(text, at)
        yield event


def _matches(rule: Any, event: Any) -> bool:
    record = plain_json(event)
    values = Originals(record.data)
    return bool(record.kind.fits(rule.logsource) and Compiler().predicate(rule.tree)(Lowered(values), values))


class Sample(NamedTuple):
    """A line of fail2ban's; what it expects of it in its mode `normal`: an address, "" for any, None for nothing."""

    line: str
    expected: str | None


def samples(path: Path) -> Iterator[tuple[str, Sample | None]]:
    """Each line with what is expected of it; None for one that only leads to the next."""
    expected, normal = None, True
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# filterOptions:"):
            options = json.loads(line.partition(":")[2])
            listed = options if isinstance(options, list) else [options]
            normal = any(one.get("mode", "normal") == "normal" for one in listed)
        elif line.startswith("# failJSON:"):
            expected = json.loads(line.partition(":")[2])
        elif line and not line.startswith("#"):
            counts = expected is not None and normal and "== 'aggressive'" not in expected.get("constraint", "")
            address = expected.get("host", "").removeprefix("::ffff:") if expected and expected["match"] else None
            yield line, Sample(line, address) if counts else None
            expected = None


@needs(FAIL2BAN, "FAIL2BAN")
@pytest.mark.parametrize(("name", "least", "found_of"), [("sshd", 68, 68), ("sshd-journal", 61, 64)])
def test_evidence_is_where_fail2ban_expects_it(name: str, least: int, found_of: int) -> None:
    attempts = SshdAttempts()
    right, expected, wrong = 0, 0, []
    for line, sample in samples(Path(FAIL2BAN) / "fail2ban" / "tests" / "files" / "logs" / name):
        read = read_line(line)
        evidence = [one for one in attempts.take(read).attempts if one.outcome != "accepted"] if read else []
        if sample is None:
            continue
        if sample.expected is None:
            wrong += [line] if evidence else []
            continue
        expected += 1
        right += bool(evidence) and (not sample.expected or sample.expected in {one.address for one in evidence})
    assert wrong == []
    assert (right >= least, expected) == (True, found_of)


@needs(OPENSSH_LOG, "OPENSSH_LOG")
def test_attempts_of_the_log_of_loghub() -> None:
    attempts, failed = SshdAttempts(), Counter[str]()
    with Path(OPENSSH_LOG).open(encoding="utf-8", errors="replace") as lines:
        for read in map(read_line, lines):
            for one in attempts.take(read).attempts if read else ():
                failed[one.address] += one.times if one.outcome == "failed" else 0
    assert failed.total() == 528
    assert failed.most_common(3) == [("183.62.140.253", 286), ("187.141.143.180", 80), ("103.99.0.122", 46)]


@needs(CLOUDTRAIL_LOG, "CLOUDTRAIL_LOG")
def test_attacks_on_cloudtrail_are_found_and_ordinary_work_seldom() -> None:
    rules = shipped("cloudtrail.yaml")
    engine, attacks = Engine(rules, MemoryStates()), {}
    with gzip.open(CLOUDTRAIL_LOG) as lines:
        for line in lines:
            record = json.loads(line)
            read = cloudtrail(record)
            attacks[read.id] = "stratus-red-team" in (record.get("userAgent") or "")
            engine.feed(Record(read.data, read.kind, read.time, read.id))
    hits = engine.drain()
    found = {(hit.detection, hit.source): any(attacks[event] for event in hit.events) for hit in hits}
    assert sum(found.values()) >= 7
    assert sum(not is_attack for is_attack in found.values()) <= 3


def shipped(name: str) -> Loaded:
    """One of the package's own files of rules."""
    found, problems = loading.read_files([Path(loading.__file__).parent / "rules" / name])
    return loading.link(found, problems)
