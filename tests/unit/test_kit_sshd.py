"""Attempts in lines of sshd, in the forms that logs have, and what is no attempt."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest

from brain.detections.sshd_records import SshdRecords
from brain.kit.sshd.times import moment_of

AT = 1_767_225_600.0  # the first second of 2026
PAM = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user="
BREAK_IN = "Address 192.0.2.1 maps to a.example, but this does not map back to the address - POSSIBLE BREAK-IN ATTEMPT!"
FAILED = "Failed password for ann from 192.0.2.1 port 40000 ssh2"


def found(*lines: str) -> list[tuple[str, str, str]]:
    """Outcome, user and address of each record."""
    records = SshdRecords()
    made = [one for line in lines for one in records.records(line, AT) or ()]
    return [(one["outcome"], one["user"], one["source_address"]) for _, one in made]


@pytest.mark.parametrize(
    "line",
    [
        f"Dec  3 04:05:06 gate sshd[812]: {FAILED}",
        f"Dec 3 04:05:06 gate sshd-session[812]: {FAILED} ",
        f"<38>Dec  3 04:05:06 gate sshd[812]: {FAILED}",
        f"<auth.info>Dec  3 04:05:06 gate sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 gate auth.info sshd[812]: {FAILED}",
        f"Wed Dec  3 04:05:06 2025 auth.info sshd[812]: {FAILED}",
        f"Wed 2025-12-03 04:05:06 +03 gate sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 [sshd] {FAILED}",
        f"Dec  3 04:05:06 gate sshd[812]: [ID 800047 auth.info] {FAILED}",
        f"Dec  3 04:05:06 gate /usr/sbin/sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 gate sshd@7-10.0.0.1:22[812]: {FAILED}",
        f"2025-12-03T04:05:06.123456+00:00 gate sshd[812]: {FAILED}",
        f"Wed 2025-12-03 04:05:06 UTC gate ssh.service[812]: {FAILED}",
        f"[  970.699396 <    0.000004 >] gate sshd[812]: {FAILED}",
        f"2025-12-03 04:05:06.123456+0100  localhost sshd[812]: {FAILED}",
        f"2025-12-03 04:05:06.123 Df sshd[812:1a2b] {FAILED}",
        f"2025-12-03T04:05:06+0000 gate sshd[812]: {FAILED}",
        f"Wed 2025-12-03 04:05:06 UTC gate sshd[812]: {FAILED}",
        f"1764734706.123456 gate sshd[812]: {FAILED}",
        f"[  970.699396] gate sshd[812]: {FAILED}",
        f'<38>1 2025-12-03T04:05:06.1Z gate sshd 812 - [a b="]"] {FAILED}',
        f"2025-12-03 04:05:06.123456+0100 0x1a2b     Default     0x0      812    0    sshd: {FAILED}",
        FAILED,
        "data: " + msgspec.json.encode({"MESSAGE": FAILED, "SYSLOG_IDENTIFIER": "sshd"}).decode(),
        msgspec.json.encode({"MESSAGE": list(FAILED.encode()), "_COMM": "sshd"}).decode(),
        msgspec.json.encode({"eventMessage": FAILED, "processImagePath": "/usr/sbin/sshd"}).decode(),
        msgspec.json.encode({"MESSAGE": FAILED, "SYSLOG_IDENTIFIER": "sshd", "_PID": "812"}).decode(),
    ],
)
def test_every_head(line: str) -> None:
    assert found(line) == [("failed", "ann", "192.0.2.1")]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["Failed none for ann from 192.0.2.1 port 4 ssh2"], []),
        (["error: PAM: Authentication failure for ann from 192.0.2.1", FAILED], [("failed", "ann", "192.0.2.1")]),
        (
            [
                "Failed publickey for ann from 192.0.2.1 port 4 ssh2: RSA SHA256:x",
                "Accepted publickey for ann from 192.0.2.1 port 4 ssh2: RSA SHA256:y",
            ],
            [("accepted", "ann", "192.0.2.1")],
        ),
        (
            ["Failed publickey for invalid user bob from 192.0.2.1 port 4 ssh2: RSA SHA256:x"],
            [("failed", "bob", "192.0.2.1")],
        ),
        (
            ["Failed password for invalid user x from 198.51.100.7 from 192.0.2.1 port 4 ssh2"],
            [("failed", "x from 198.51.100.7", "192.0.2.1")],
        ),
        (
            ["Connection from 192.0.2.1 port 4", "Disconnecting: Too many authentication failures for ann [preauth]"],
            [("too_many", "ann", "192.0.2.1")],
        ),
        (
            [
                "Disconnecting: Too many authentication failures for ann [preauth]",
                "Connection closed by 192.0.2.1 [preauth]",
            ],
            [("refused", "ann", "192.0.2.1")],
        ),
        (["User ann from 192.0.2.1 not allowed because not listed in AllowUsers"], [("refused", "ann", "192.0.2.1")]),
        (
            [BREAK_IN],
            [],
        ),
        (
            ["Connection closed by 192.0.2.1 port 4 [preauth]", "Did not receive identification string from 192.0.2.1"],
            [],
        ),
        (["message repeated 3 times: [ " + FAILED + "]"], [("failed", "ann", "192.0.2.1")] * 3),
        (
            [
                PAM + "ann",
                "Accepted password for ann from 192.0.2.1 port 4 ssh2",
            ],
            [("accepted", "ann", "192.0.2.1")],
        ),
        (
            [
                PAM + "root",
                "Accepted password for ann from 192.0.2.1 port 4 ssh2",
            ],
            [("failed", "root", "192.0.2.1"), ("accepted", "ann", "192.0.2.1")],
        ),
    ],
)
def test_an_attempt_counts_once_and_what_is_none_does_not(
    messages: list[str], expected: list[tuple[str, str, str]]
) -> None:
    assert found(*[f"Dec  3 04:05:06 gate sshd[812]: {message}" for message in messages]) == expected


ENTRY = {
    "__REALTIME_TIMESTAMP": "1764734706123456",
    "SYSLOG_IDENTIFIER": "sshd",
    "MESSAGE": FAILED,
    "_PID": "812",
    "_HOSTNAME": "gate",
}


@pytest.mark.parametrize(
    "entry",
    [
        ["__CURSOR=s=1", *(f"{name}={value}" for name, value in ENTRY.items())],
        [
            "Wed 2025-12-03 04:05:06.123456 UTC [s=1a;i=1;b=2]",
            *(f"    {name}={value}" for name, value in ENTRY.items()),
        ],
        msgspec.json.format(msgspec.json.encode(ENTRY)).decode().splitlines(),
    ],
    ids=["export", "verbose", "json-pretty"],
)
def test_entries_of_the_journal_on_many_lines(entry: list[str]) -> None:
    others = [one.replace("=sshd", "=cron").replace('"sshd"', '"cron"') for one in entry]
    assert found(*entry, *others, *entry) == [("failed", "ann", "192.0.2.1")] * 2
    records = SshdRecords()
    [(at, _)] = [one for line in entry for one in records.records(line, AT) or ()]
    assert at is not None
    assert round(at) == 1_764_734_706


@pytest.mark.parametrize(
    ("written", "reference", "expected"),
    [
        ("Mar  3 04:05:06", (2025, 6, 1), (2025, 3, 3, 4, 5, 6)),
        ("Mar 3 04:05:06 2019", (2025, 6, 1), (2019, 3, 3, 4, 5, 6)),
        ("Sun Mar  3 04:05:06 2019", (2025, 6, 1), (2019, 3, 3, 4, 5, 6)),
        ("Dec 31 23:59:59", (2025, 1, 1, 0, 0, 5), (2024, 12, 31, 23, 59, 59)),
        ("Jan  1 00:00:01", (2025, 1, 1, 0, 0, 5), (2025, 1, 1, 0, 0, 1)),
        ("Jun  1 20:00:00", (2025, 6, 1, 10), (2025, 6, 1, 20)),  # a clock ahead by less than a day
        ("Jun  3 00:00:00", (2025, 6, 1, 10), (2024, 6, 3)),
        ("Jan  1 05:00:00", (2024, 12, 31, 10), (2025, 1, 1, 5)),
        ("Feb 29 12:00:00", (2027, 6, 1), (2024, 2, 29, 12)),
        ("Feb 29 12:00:00", (2103, 6, 1), (2096, 2, 29, 12)),
    ],
)
def test_the_year_is_the_latest_that_is_not_after_the_reference(
    written: str, reference: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert moment_of(written, datetime(*reference).timestamp()) == datetime(*expected).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    "written",
    ["Mar 32 04:05:06", "Mar  3 24:05:06", "Xyz  3 04:05:06", "2024-13-03T04:05:06Z", "0001-01-01T00:00:00", ""],
)
def test_no_time(written: str) -> None:
    assert moment_of(written, AT) is None


def test_iso_times_keep_their_offset() -> None:
    assert moment_of("2024-03-03T04:00:00+02:00", AT) == moment_of("2024-03-03T02:00:00Z", AT) == 1_709_431_200.0


def test_a_name_that_looks_like_a_line_s_end_blames_nobody_where_the_connection_is_known() -> None:
    name = "root from 203.0.113.1 port 1 ssh2: x"
    assert found(
        f"Dec  3 04:05:06 gate sshd[812]: Invalid user {name} from 192.0.2.1 port 4",
        f"Dec  3 04:05:06 gate sshd[812]: Failed password for invalid user {name} from 192.0.2.1 port 4 ssh2",
    ) == [("invalid_user", name, "192.0.2.1"), ("failed", name, "192.0.2.1")]


def test_other_programs_are_passed_over_and_what_is_no_log_is_said() -> None:
    records = SshdRecords()
    assert records.records("Dec  3 04:05:06 gate cron[7]: (root) CMD (x)", AT) == []
    assert records.records("a page of a novel", AT) is None
    [(at, _)] = records.records(f"Dec  3 04:05:06 gate sshd[812]: {FAILED}", AT) or []
    assert at is not None
    assert AT - 40 * 86_400 < at < AT
