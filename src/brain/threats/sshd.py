"""Reads an sshd log: lines in, findings per source address out.

Read from both ends of a line inwards: the user's name is the attacker's to choose, and must not be read as an address.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from brain import limits
from brain.charter import Severity
from brain.threats.sightings import Sighting
from brain.threats.syslog import SyslogParser

THREAT_TYPE = "ssh_brute_force"
LEAST_ATTEMPTS = 5
"""Attempts of any sort by one address that make it a threat; fewer may be a person with a bad memory."""
BREACH_AFTER = 10
"""Failed passwords from an address after which a successful login counts as a guessed password."""
SEVERITY_FROM = ((200, Severity.CRITICAL), (50, Severity.HIGH), (10, Severity.MEDIUM), (0, Severity.LOW))
"""Severity by volume: the count of the most frequent sort of attempt."""
WORDS = {
    "failed_passwords": "failed password",
    "invalid_users": "invalid user",
    "break_in_warnings": "break-in warning",
    "logins_after_failures": "successful login",
}
"""The counts in words."""
USERS_KEPT = 1_000
EXAMPLES_KEPT = 5

_ADDRESS = r"([\w.:%-]+)"  # an address or, with UseDNS, a host's name
_PROGRAMS = frozenset({"sshd", "sshd-session", "sshd-auth"})
_REPEATED = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]").fullmatch
_FAILED = re.compile(
    rf"Failed (?:password|keyboard-interactive/pam) for (?:invalid user )?(.*) from {_ADDRESS} port \d+(?: ssh\d)?",
    re.DOTALL | re.ASCII,
).fullmatch
_INVALID = re.compile(rf"Invalid user (.*) from {_ADDRESS}(?: port \d+)?", re.DOTALL | re.ASCII).fullmatch
_BREAK_IN = re.compile(
    rf"(?:reverse mapping checking getaddrinfo for .* \[{_ADDRESS}\] failed"
    rf"|Address {_ADDRESS} maps to .*, but this does not map back to the address) - POSSIBLE BREAK-IN ATTEMPT!",
    re.ASCII,
).fullmatch
_ACCEPTED = re.compile(
    rf"Accepted \S+ for (.*) from {_ADDRESS} port \d+(?: ssh\d)?(?:: .*)?", re.DOTALL | re.ASCII
).fullmatch


@dataclass
class SshdFinding:
    """The attempts of one source address, in one log. Times are in Unix seconds."""

    address: str
    first_seen: float
    last_seen: float
    failed_passwords: int = 0
    invalid_users: int = 0
    break_in_warnings: int = 0
    logins_after_failures: int = 0
    users: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)

    @property
    def counts(self) -> dict[str, int]:
        """The evidence, by the name of each count."""
        return {
            "failed_passwords": self.failed_passwords,
            "invalid_users": self.invalid_users,
            "break_in_warnings": self.break_in_warnings,
            "logins_after_failures": self.logins_after_failures,
        }

    @property
    def attempts(self) -> int:
        """Failed passwords, invalid users and break-in warnings together."""
        return self.failed_passwords + self.invalid_users + self.break_in_warnings

    @property
    def severity(self) -> Severity:
        """How bad this log alone makes it."""
        return grade(self.counts)


@dataclass
class SshdLog:
    """One log as read: `identity` names it by its first syslog line, so that it stays the same while the log grows."""

    identity: str = ""
    lines: int = 0
    unreadable: int = 0
    examples: list[tuple[int, str]] = field(default_factory=list)
    by_address: dict[str, SshdFinding] = field(default_factory=dict)

    @property
    def findings(self) -> list[SshdFinding]:
        """One for each source address, the busiest first."""
        return sorted(self.by_address.values(), key=lambda finding: (-finding.attempts, finding.address))


def read_sshd(lines: Iterable[bytes], reference: float) -> SshdLog:
    """Read a log. `reference` (Unix seconds) is when it was last written: times without a year are not after it.

    Lines that are no syslog lines, or hold an sshd message that is cut off, count as unreadable; those of other
    programs, and other messages of sshd, are passed over.
    """
    log = SshdLog()
    parser = SyslogParser(reference)
    for raw in lines:
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not text.strip():
            continue
        log.lines += 1
        line = parser.parse(text)
        if line is not None and not log.identity:
            log.identity = f"sshd:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if line is None or (
            line.program in _PROGRAMS and not _count_message(log, line.message, line.host, line.timestamp)
        ):
            log.unreadable += 1
            if len(log.examples) < EXAMPLES_KEPT:
                log.examples.append((log.lines, text[:200]))
    return log


def _count_message(log: SshdLog, message: str, host: str, timestamp: float) -> bool:
    """Count a message of sshd; whether it could be read."""
    times = 1
    if message.startswith("message repeated "):
        repeated = _REPEATED(message)
        if repeated is None:
            return False
        times, message = int(repeated[1]), repeated[2]
    if message.startswith(("Failed password for ", "Failed keyboard-interactive/pam for ")):
        if (found := _FAILED(message)) is None:
            return False
        finding = _finding(log, found[2], host, timestamp)
        finding.failed_passwords += times
        _count_user(finding, found[1], times)
    elif message.startswith("Invalid user "):
        if (found := _INVALID(message)) is None:
            return False
        _finding(log, found[2], host, timestamp).invalid_users += times
    elif message.endswith("POSSIBLE BREAK-IN ATTEMPT!"):
        if (found := _BREAK_IN(message)) is None:
            return False
        _finding(log, found[1] or found[2], host, timestamp).break_in_warnings += times
    elif message.startswith("Accepted "):
        if (found := _ACCEPTED(message)) is None:
            return False
        known = log.by_address.get(_plain(found[2]))
        if known is not None and known.failed_passwords >= BREACH_AFTER:
            known.logins_after_failures += times
            known.last_seen = max(known.last_seen, timestamp)
    return True


def _finding(log: SshdLog, address: str, host: str, timestamp: float) -> SshdFinding:
    address = _plain(address)
    finding = log.by_address.get(address)
    if finding is None:
        finding = log.by_address[address] = SshdFinding(address, timestamp, timestamp)
    finding.first_seen = min(finding.first_seen, timestamp)
    finding.last_seen = max(finding.last_seen, timestamp)
    finding.hosts.add(host)
    return finding


def _plain(address: str) -> str:
    """An IPv4 address written as IPv6 is the same attacker."""
    if address.lower().startswith("::ffff:"):
        try:
            mapped = ipaddress.IPv6Address(address).ipv4_mapped
        except ValueError:
            return address
        return str(mapped or address)
    return address


def _count_user(finding: SshdFinding, user: str, times: int) -> None:
    if user in finding.users or len(finding.users) < USERS_KEPT:
        finding.users[user] += times


def grade(counts: Mapping[str, int]) -> Severity:
    """The severity that these counts call for."""
    if counts.get("logins_after_failures"):
        return Severity.CRITICAL
    volume = max(counts.values(), default=0)
    return next(severity for least, severity in SEVERITY_FROM if volume >= least)


def describe(counts: Mapping[str, int]) -> str:
    """The counts in words."""
    said = [f"{number} {WORDS[name]}{'s' * (number > 1)}" for name, number in counts.items() if number]
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
            "users": [user[: limits.ID] for user, _ in finding.users.most_common(10)],
            "users_tried": len(finding.users),
            "hosts": [host[: limits.ID] for host in sorted(finding.hosts)[:10]],
        },
    )
