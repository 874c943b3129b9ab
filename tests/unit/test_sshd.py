"""What is found in an sshd log, and whom it is not blamed on."""

from __future__ import annotations

import gzip
import os
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.kit.sshd.attempts import LineSort
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.threats import Severity, ThreatService
from brain.threats.log_places import LogPlaces
from brain.threats.sshd_ingest import SshdIngest
from brain.threats.sshd_log import SshdFinding, SshdLog, SshdLogs, describe, grade, is_threat, sighting
from support.sshd_log import attack, failed, line

REFERENCE = datetime(2025, 6, 1).timestamp()


def read(*lines: bytes) -> SshdLog:
    return SshdLogs().read(lines, REFERENCE)


def only(log: SshdLog) -> SshdFinding:
    [finding] = log.findings
    return finding


def test_each_sort_of_evidence_is_counted_by_source_address() -> None:
    log = read(
        failed("198.51.100.7", at="Mar  3 04:05:06"),
        line("Failed password for invalid user admin from 198.51.100.7 port 1 ssh2"),
        line("Failed keyboard-interactive/pam for root from 198.51.100.7 port 1 ssh2"),
        line("Invalid user admin from 198.51.100.7"),
        line("Invalid user oracle from 198.51.100.7 port 4022"),
        line(
            "reverse mapping checking getaddrinfo for host.example [198.51.100.7] failed - POSSIBLE BREAK-IN ATTEMPT!"
        ),
        line(
            "Address 198.51.100.7 maps to host.example, but this does not map back to the address - "
            "POSSIBLE BREAK-IN ATTEMPT!"
        ),
        line("User ann from 198.51.100.7 not allowed because not listed in AllowUsers", at="Mar  3 04:05:06"),
        failed("203.0.113.9", at="Mar  4 00:00:00"),
    )
    busy, other = log.findings
    assert busy.address == "198.51.100.7"
    assert busy.counts == {
        "failed_passwords": 3,
        "invalid_users": 2,
        "refused_logins": 1,
        "logins_after_failures": 0,
    }
    assert busy.attempts == 6
    assert log.passed_over == {LineSort.REVERSE_DNS: 2}
    assert dict(busy.users) == {"root": 2, "admin": 1}
    assert busy.hosts == {"gate"}
    assert busy.first_seen == busy.last_seen == datetime(2025, 3, 3, 4, 5, 6).timestamp()
    assert (other.address, other.failed_passwords) == ("203.0.113.9", 1)
    assert (log.lines, log.unreadable) == (9, 0)


def test_a_repeated_message_counts_as_often_as_it_says() -> None:
    log = read(
        line("message repeated 5 times: [ Failed password for root from 198.51.100.7 port 4 ssh2]"),
        line("message repeated 2 times: [ Invalid user x from 198.51.100.7]"),
        line("message repeated 3 times: [ something else]"),
    )
    finding = only(log)
    assert (finding.failed_passwords, finding.invalid_users, finding.users["root"]) == (5, 2, 5)
    assert log.unreadable == 0


@pytest.mark.parametrize(
    "message",
    [
        "Failed none for invalid user admin from 198.51.100.7 port 1 ssh2",
        "Failed publickey for root from 198.51.100.7 port 1 ssh2",
        "Connection closed by 198.51.100.7 [preauth]",
        "Received disconnect from 198.51.100.7: 11: Bye Bye [preauth]",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7",
        "Accepted password for alice from 198.51.100.7 port 1 ssh2",
        "Server listening on :: port 22.",
        "reverse mapping checking getaddrinfo for host.example - POSSIBLE BREAK-IN ATTEMPT!",
        "",
    ],
)
def test_other_messages_are_passed_over(message: str) -> None:
    log = read(line(message))
    assert (log.findings, log.lines, log.unreadable) == ([], 1, 0)


def test_other_programs_are_passed_over_whatever_they_say() -> None:
    message = "Failed password for root from 198.51.100.7 port 1 ssh2"
    assert read(line(message, program="notsshd[3]"), line(message, program="su")).findings == []
    assert only(read(line(message, program="sshd-session[3]"))).failed_passwords == 1


@pytest.mark.parametrize(
    "message",
    [
        "Failed password for root from",
        "Failed password for root from 198.51.100.7 port",
        "Invalid user x",
        "Invalid user x from \x1b[31mred",
        "message repeated 5 times: [ Failed password for root from 198.51.100.7 po",
        "message repeated many times: [ x]",
        "message repeated 99999999999999999999 times: [ x]",
        "Accepted password for",
    ],
)
def test_messages_that_are_cut_off_are_unreadable(message: str) -> None:
    log = read(line(message))
    assert (log.findings, log.unreadable) == ([], 1)
    assert log.examples[0][0] == 1


def test_unreadable_lines_are_counted_shown_and_never_fatal() -> None:
    junk = [b"\xff\xfe\x00garbage\n", b"no date here\n", b"\n", b"   \r\n", b"Feb 30 01:01:01 gate sshd[1]: x\n"]
    log = read(*junk, failed("198.51.100.7"), b"x" * 5_000)
    assert (log.lines, log.unreadable) == (5, 4)
    assert only(log).failed_passwords == 1
    assert [number for number, _ in log.examples] == [1, 2, 3, 5]
    assert all(len(text) <= 200 for _, text in log.examples)
    assert len(read(*[b"junk\n"] * 50).examples) == 5


def test_windows_line_ends_and_a_missing_last_one_are_no_matter() -> None:
    log = read(failed("198.51.100.7").replace(b"\n", b"\r\n"), failed("198.51.100.7").rstrip(b"\n"))
    assert only(log).failed_passwords == 2
    assert log.unreadable == 0


@pytest.mark.parametrize(
    "user",
    [
        "root from 203.0.113.1 port 22 ssh2",
        "x from 203.0.113.1",
        "x from 203.0.113.1 port 5",
        " from ",
        "",
        "a [203.0.113.1] failed - POSSIBLE BREAK-IN ATTEMPT!",
        "message repeated 9 times: [ x]",
        "ünïcode \ufffd",
    ],
)
def test_a_user_name_made_to_look_like_an_address_blames_nobody_else(user: str) -> None:
    log = read(
        line(f"Failed password for {user} from 198.51.100.7 port 40000 ssh2"),
        line(f"Failed password for invalid user {user} from 198.51.100.7 port 40000 ssh2"),
        line(f"Invalid user {user} from 198.51.100.7"),
        line(f"Invalid user {user} from 198.51.100.7 port 40000"),
    )
    finding = only(log)
    assert (finding.address, finding.failed_passwords, finding.invalid_users) == ("198.51.100.7", 2, 2)


def test_an_ipv4_address_written_as_ipv6_is_the_same_attacker() -> None:
    finding = only(read(failed("198.51.100.7"), failed("::ffff:198.51.100.7"), failed("::FFFF:198.51.100.7")))
    assert (finding.address, finding.failed_passwords) == ("198.51.100.7", 3)
    assert [found.address for found in read(failed("2001:db8::5"), failed("::ffff:rubbish")).findings] == [
        "2001:db8::5",
        "::ffff:rubbish",
    ]


def accepted(method: str = "password", user: str = "root", at: str = "Mar  3 05:00:00") -> bytes:
    return line(f"Accepted {method} for {user} from 198.51.100.7 port 5 ssh2", at=at)


def test_a_login_after_many_failures_is_a_breach() -> None:
    finding = only(read(*attack("198.51.100.7", 10), accepted()))
    assert finding.logins_after_failures == 1
    assert grade(finding.counts) is Severity.CRITICAL
    assert finding.last_seen == datetime(2025, 3, 3, 5).timestamp()
    assert only(read(*attack("198.51.100.7", 10), accepted("keyboard-interactive/pam"))).logins_after_failures == 1


@pytest.mark.parametrize(
    "lines",
    [
        [*attack("198.51.100.7", 9), accepted()],
        [accepted(at="Mar  3 04:00:00"), *attack("198.51.100.7", 10)],
        [*attack("198.51.100.7", 10), accepted("publickey")],
        [*attack("198.51.100.7", 10), accepted(user="ann")],
        [*attack("198.51.100.7", 10), accepted(at="Mar  3 05:00:10")],
        [*attack("203.0.113.9", 10), accepted()],
    ],
    ids=["nine failures", "before them", "by key", "of another user", "an hour after", "from another address"],
)
def test_another_login_is_no_breach(lines: list[bytes]) -> None:
    assert [finding.logins_after_failures for finding in read(*lines).findings] == [0]


def test_three_lines_of_one_attempt_count_once() -> None:
    log = read(
        line("Invalid user admin from 198.51.100.7 port 4"),
        line("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.51.100.7"),
        line("Failed password for invalid user admin from 198.51.100.7 port 4 ssh2"),
        line("Failed password for invalid user admin from 198.51.100.7 port 4 ssh2"),
        line("error: maximum authentication attempts exceeded for invalid user admin from 198.51.100.7 port 4 ssh2"),
        line("Failed publickey for ann from 203.0.113.9 port 4 ssh2: RSA SHA256:x", program="sshd[9]"),
    )
    finding = only(log)
    assert (finding.attempts, finding.failed_passwords, finding.invalid_users, finding.refused_logins) == (2, 2, 1, 0)
    assert log.passed_over == {LineSort.PART: 1, LineSort.KEY: 1}


def test_names_of_any_length_are_counted() -> None:
    finding = only(read(*[failed("198.51.100.7", user="x" * 60_000)] * 5))
    assert (finding.attempts, [*finding.users]) == (5, ["x" * 200])


@pytest.mark.parametrize(
    ("counts", "severity"),
    [
        ({}, Severity.LOW),
        ({"failed_passwords": 9, "invalid_users": 9}, Severity.LOW),
        ({"failed_passwords": 10}, Severity.MEDIUM),
        ({"failed_passwords": 49}, Severity.MEDIUM),
        ({"refused_logins": 50}, Severity.HIGH),
        ({"invalid_users": 199}, Severity.HIGH),
        ({"failed_passwords": 200}, Severity.CRITICAL),
        ({"failed_passwords": 10, "logins_after_failures": 1}, Severity.CRITICAL),
    ],
)
def test_severity_by_volume(counts: dict[str, int], severity: Severity) -> None:
    assert grade(counts) is severity


def test_what_is_a_threat() -> None:
    assert not is_threat(only(read(*attack("198.51.100.7", 4))))
    assert is_threat(only(read(*attack("198.51.100.7", 5))))
    assert is_threat(only(read(*attack("198.51.100.7", 2))), least_attempts=2)


def test_description() -> None:
    counts = {"failed_passwords": 286, "invalid_users": 1, "break_in_warnings": 3, "logins_after_failures": 2}
    assert describe(counts) == "sshd log: 286 failed passwords, 1 invalid user, 2 successful logins"


def test_a_log_keeps_its_identity_while_it_grows_and_whatever_stands_above_its_first_line() -> None:
    lines = attack("198.51.100.7", 5)
    identity = read(*lines[:1]).identity
    assert identity
    assert read(*lines).identity == identity
    assert read(b"-- Logs begin at Monday --\n", *lines).identity == identity
    assert read(*(one.replace(b"\n", b"\r\n") for one in lines)).identity == identity
    assert read(*lines[1:]).identity != identity
    assert read().identity == read(b"junk\n").identity == ""


async def record(service: ThreatService, *lines: bytes) -> None:
    log = read(*lines)
    for finding in log.findings:
        await service.record_sighting(sighting(log, finding))


async def ingest(service: ThreatService, *files: Path, store: Store | None = None) -> SshdIngest:
    made = SshdIngest(files, 5, LogPlaces(store or MemoryStore()))
    made.read()
    await made.record(service)
    return made


def write(path: Path, *lines: bytes) -> Path:
    """A log that was last written in June 2025."""
    data = b"".join(lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (REFERENCE, REFERENCE))
    return path


async def test_a_guessed_password_is_found_over_a_rotation(tmp_path: Path) -> None:
    service = ThreatService()
    first = write(tmp_path / "auth.log.1", *attack("198.51.100.7", 9))
    second = write(tmp_path / "auth.log", failed("198.51.100.7", at="Mar  3 04:30:00"), accepted())
    await ingest(service, first)
    for _ in range(2):
        await ingest(service, second)
    [threat] = await service.list_threats()
    assert threat.metadata["evidence"] == {"failed_passwords": 10, "logins_after_failures": 1}
    assert threat.severity is Severity.CRITICAL
    await ingest(service, second, first)
    assert (await service.get_threat(threat.id)).metadata["evidence"] == threat.metadata["evidence"]


async def test_several_files_are_read_from_the_oldest_on_and_packed_ones_too(tmp_path: Path) -> None:
    old = write(tmp_path / "auth.log.2.gz", *attack("198.51.100.7", 3))
    new = write(tmp_path / "auth.log", *attack("198.51.100.7", 7), accepted(at="Mar  3 04:00:30"))
    os.utime(old, (REFERENCE - 86_400, REFERENCE - 86_400))
    made = await ingest(ThreatService(), new, old)
    [finding] = made.findings()
    assert (finding.attempts, finding.logins_after_failures) == (10, 1)
    assert made.recorded["198.51.100.7"].new


async def test_a_log_whose_head_is_cut_off_counts_once(tmp_path: Path) -> None:
    store, lines = MemoryStore(), attack("198.51.100.7", 60)
    service = ThreatService(store=store)
    path = write(tmp_path / "auth.log", *lines[:30])

    async def evidence(*written: bytes) -> int:
        write(path, *written)
        await ingest(service, path, store=store)
        [threat] = await service.list_threats()
        return int(threat.metadata["evidence"]["failed_passwords"])

    assert await evidence(*lines[:30]) == 30
    assert await evidence(*lines[10:30]) == 30
    assert await evidence(*lines[10:40]) == 40
    assert await evidence(*lines[10:40]) == 40
    assert await evidence(*lines[25:50]) == 50
    assert await evidence(*attack("198.51.100.7", 7, hour=6)) == 57  # another file in its place
    assert await evidence(*attack("198.51.100.7", 9, hour=6)) == 59


async def test_a_log_that_is_followed_grows_is_cut_and_rotated(tmp_path: Path) -> None:
    service = ThreatService()
    path = write(tmp_path / "auth.log", *attack("198.51.100.7", 20))
    made = await ingest(service, path)
    assert not made.read(partial=False)
    write(
        path, *attack("198.51.100.7", 23)[10:], failed("198.51.100.7")[:-1]
    )  # the head is cut off, the end unfinished
    assert made.read(partial=False)
    assert [finding.attempts for finding in made.findings()] == [23]
    path.rename(tmp_path / "auth.log.1")
    assert not made.read(partial=False)
    write(tmp_path / "auth.log.1", *attack("198.51.100.7", 24)[10:])
    write(path, *attack("198.51.100.7", 1, hour=5))
    assert made.read(partial=False)
    await made.record(service)
    [threat] = await service.list_threats()
    assert threat.metadata["evidence"] == {"failed_passwords": 25}


async def test_reading_again_doubles_nothing_growth_counts_and_another_log_adds() -> None:
    service = ThreatService()
    lines = [*attack("198.51.100.7", 40), *attack("203.0.113.9", 12)]
    await record(service, *lines)
    await record(service, *lines)
    first = await service.list_threats()
    assert {threat.source: threat.metadata["evidence"]["failed_passwords"] for threat in first} == {
        "198.51.100.7": 40,
        "203.0.113.9": 12,
    }
    await record(service, *lines, *attack("198.51.100.7", 15, hour=5))
    await record(service, *attack("198.51.100.7", 145, hour=6))
    [threat] = await service.list_threats(source="198.51.100.7")
    assert threat.metadata["evidence"] == {"failed_passwords": 200}
    assert (threat.severity, threat.description) == (Severity.CRITICAL, "sshd log: 200 failed passwords")
    assert threat.last_seen == datetime(2025, 3, 3, 6, 2, 24).timestamp()
    assert len(await service.list_threats()) == 2


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_bytes_are_read_or_counted(lines: list[bytes]) -> None:
    log = read(*lines)
    assert log.unreadable <= log.lines <= len(lines)


@given(st.text(max_size=60).filter(lambda user: "\n" not in user and "\r" not in user))
def test_any_user_name_is_counted_for_the_address_that_sent_it(user: str) -> None:
    raw = line(f"Failed password for {user} from 198.51.100.7 port 40000 ssh2".encode("utf-8", "replace").decode())
    assert only(read(raw)).address == "198.51.100.7"
