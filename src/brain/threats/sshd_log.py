"""An sshd log read whole: lines in, findings per source address out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from brain import limits
from brain.charter import Severity
from brain.kit.sshd.attempts import Attempt, LineSort, SshdAttempts
from brain.kit.sshd.journal import SshdReader
from brain.kit.sshd.lines import SshdLine, is_of_a_log
from brain.kit.sshd.times import moment_of
from brain.threats.guesses import BREACH_AFTER, WINDOW, Guesses, Login
from brain.threats.sightings import Sighting

THREAT_TYPE = "ssh_brute_force"
LEAST_ATTEMPTS = 5
"""Attempts of any sort by one address that make it a threat; fewer may be a person with a bad memory."""
SEVERITY_FROM = ((200, Severity.CRITICAL), (50, Severity.HIGH), (10, Severity.MEDIUM), (0, Severity.LOW))
"""Severity by volume: the count of the most frequent sort of attempt."""
WORDS = {
    "failed_passwords": "failed password",
    "invalid_users": "invalid user",
    "refused_logins": "refused login",
    "logins_after_failures": "successful login",
}
"""The counts in words."""
USERS_KEPT = 1_000
EXAMPLES_KEPT = 5
LOGINS_KEPT = 1_000
"""Early logins that are looked up in the log before, at most."""
_PASSWORDS = ("password", "keyboard-interactive", "challenge-response")


@dataclass
class SshdFinding:
    """The attempts of one source address, in one log. Times are in Unix seconds.

    `attempts` counts each once, however many lines are about it; the counts beside it may be of the same attempts.
    """

    address: str
    first_seen: float
    last_seen: float
    attempts: int = 0
    failed_passwords: int = 0
    invalid_users: int = 0
    refused_logins: int = 0
    logins_after_failures: int = 0
    users: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)
    carried: Sequence[Sequence[Any]] = ()
    """Failures of the last window by user, for a login in the next log."""

    @property
    def counts(self) -> dict[str, int]:
        """The evidence, by the name of each count."""
        return {name: getattr(self, name) for name in WORDS}

    def see(self, host: str, at: float) -> None:
        """Something was seen of this address, then and there."""
        self.first_seen = min(self.first_seen, at)
        self.last_seen = max(self.last_seen, at)
        if host and len(self.hosts) < USERS_KEPT:
            self.hosts.add(host[: limits.ID])

    def add(self, other: SshdFinding) -> None:
        """Take the counts of the same address in another log."""
        for name in ("attempts", *WORDS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)
        self.users += other.users
        self.hosts |= other.hosts


@dataclass
class SshdLog:
    """One log as read: `identity` names it by its first line, so that it stays the same while the log grows.

    `passed_over` counts the lines that are no evidence by their sort; `other_lines` those that sshd did not write.
    """

    identity: str = ""
    lines: int = 0
    unreadable: int = 0
    other_lines: int = 0
    passed_over: Counter[LineSort] = field(default_factory=Counter)
    examples: list[tuple[int, str]] = field(default_factory=list)
    by_address: dict[str, SshdFinding] = field(default_factory=dict)
    early_logins: dict[str, list[Login]] = field(default_factory=dict)
    began_at: float | None = None

    @property
    def findings(self) -> list[SshdFinding]:
        """One for each source address, the busiest first."""
        return sorted(self.by_address.values(), key=lambda finding: (-finding.attempts, finding.address))

    def finding(self, address: str, host: str, at: float) -> SshdFinding:
        """What is known of this address, which was seen then and there."""
        found = self.by_address.get(address)
        if found is None:
            found = self.by_address[address] = SshdFinding(address, at, at)
        found.see(host, at)
        return found


class SshdLogs:
    """Reads logs one after the other, the oldest first: what connections and failures were is kept between them."""

    def __init__(self) -> None:
        self._attempts = SshdAttempts()
        self._guesses = Guesses()
        self._moment: tuple[str | None, float, float | None] = (None, 0.0, None)

    def read(self, lines: Iterable[bytes], reference: float, log: SshdLog | None = None) -> SshdLog:
        """Read a log, or what `log` has grown by.

        `reference` (Unix seconds) is when it was last written: times without a year are not after it. Lines that are no
        line of a log, or hold an sshd message that is cut off, count as unreadable. Those of other programs, and
        messages of sshd that are no evidence, are counted and passed over.
        """
        log, reader = log or SshdLog(), SshdReader()
        for raw in lines:
            text = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not text.strip():
                continue
            log.lines += 1
            found = reader.read(text)
            if not log.identity:
                log.identity = _identity(text, found)
            was_read = found is not None and all(self._take(log, line, reference) for line in found)
            if not was_read:
                log.unreadable += 1
                if len(log.examples) < EXAMPLES_KEPT:
                    log.examples.append((log.lines, text[:200]))
            elif not found:
                log.other_lines += 1
        for line in reader.finish():
            self._take(log, line, reference)
        for finding in log.by_address.values():
            finding.carried = self._guesses.carried(finding.address, finding.users)
        return log

    def _take(self, log: SshdLog, line: SshdLine, reference: float) -> bool:
        """Count a line of sshd; whether it could be read."""
        if line.time != self._moment[0] or reference != self._moment[1]:  # many lines of one second: worked out once
            self._moment = (line.time, reference, moment_of(line.time, reference))
        at = self._moment[2]
        if at is None and line.time and not line.time.startswith("["):
            return False
        at = reference if at is None else at
        log.began_at = at if log.began_at is None else log.began_at
        evidence = self._attempts.take(line)
        for attempt in evidence.attempts:
            if attempt.outcome == "accepted":
                self._login(log, attempt, line.host, at)
            else:
                self._count(log.finding(attempt.address, line.host, at), attempt, at)
        if evidence.sort is not LineSort.ATTEMPT and evidence.sort is not LineSort.CUT_OFF:
            log.passed_over[evidence.sort] += 1
        return evidence.sort is not LineSort.CUT_OFF

    def _count(self, finding: SshdFinding, attempt: Attempt, at: float) -> None:
        user, times = attempt.user[: limits.ID], attempt.times
        if not attempt.again:
            finding.attempts += times
        if attempt.outcome == "failed" and attempt.method != "publickey":
            finding.failed_passwords += times
            if user in finding.users or len(finding.users) < USERS_KEPT:
                finding.users[user] += times
            self._guesses.fail(finding.address, user, at, times)
        elif attempt.outcome == "invalid_user":
            finding.invalid_users += times
        elif not attempt.again:
            finding.refused_logins += times

    def _login(self, log: SshdLog, attempt: Attempt, host: str, at: float) -> None:
        if not attempt.method.startswith(_PASSWORDS):
            return
        user = attempt.user[: limits.ID]
        failures = self._guesses.failures(attempt.address, user, at)
        if failures >= BREACH_AFTER:
            log.finding(attempt.address, host, at).logins_after_failures += attempt.times
        elif at - (log.began_at or at) <= WINDOW and len(log.early_logins) < LOGINS_KEPT:
            log.early_logins.setdefault(attempt.address, []).append(Login(user, at, failures))


def _identity(text: str, found: Sequence[SshdLine] | None) -> str:
    """What names a log that begins with this line; empty when it names none."""
    if found and text.lstrip(" \x1e")[:1] in ("{", "}", "_"):
        text = " ".join(found[0])
    elif not found and (text.startswith("--") or not is_of_a_log(text)):
        return ""
    return f"sshd:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def grade(counts: Mapping[str, int]) -> Severity:
    """The severity that these counts call for."""
    if counts.get("logins_after_failures"):
        return Severity.CRITICAL
    volume = max((number for name, number in counts.items() if name in WORDS), default=0)
    return next(severity for least, severity in SEVERITY_FROM if volume >= least)


def describe(counts: Mapping[str, int]) -> str:
    """The counts in words."""
    said = [f"{counts[name]} {word}{'s' * (counts[name] > 1)}" for name, word in WORDS.items() if counts.get(name)]
    return f"sshd log: {', '.join(said)}"


def is_threat(finding: SshdFinding, least_attempts: int = LEAST_ATTEMPTS) -> bool:
    """Whether this is more than a mistake."""
    return finding.attempts >= least_attempts or finding.logins_after_failures > 0


def sighting(log: SshdLog, finding: SshdFinding) -> Sighting:
    """The finding as evidence for its attacker's threat."""
    return Sighting(
        key=f"{THREAT_TYPE} {finding.address}",
        type=THREAT_TYPE,
        source=finding.address,
        reading=log.identity,
        counts=finding.counts,
        last_seen=finding.last_seen,
        grade=grade,
        describe=describe,
        metadata={
            "first_seen": finding.first_seen,
            "users": [user for user, _ in finding.users.most_common(10)],
            "users_tried": len(finding.users),
            "hosts": sorted(finding.hosts)[:10],
            "lately": {"reading": log.identity, "failures": finding.carried},
        },
    )
