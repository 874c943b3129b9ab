"""Attempts in lines of sshd, in the forms that logs have, and what is no attempt."""

from __future__ import annotations

import msgspec
import pytest

from brain.detections.sshd_records import SshdRecords

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
        f"Dec  3 04:05:06 sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 [sshd] {FAILED}",
        f"Dec  3 04:05:06 gate sshd[812]: [ID 800047 auth.info] {FAILED}",
        f"Dec  3 04:05:06 gate /usr/sbin/sshd[812]: {FAILED}",
        f"Dec  3 04:05:06 gate sshd@7-10.0.0.1:22[812]: {FAILED}",
        f"2025-12-03T04:05:06.123456+00:00 gate sshd[812]: {FAILED}",
        f"2025-12-03T04:05:06+0000 gate sshd[812]: {FAILED}",
        f"Wed 2025-12-03 04:05:06 UTC gate sshd[812]: {FAILED}",
        f"1764734706.123456 gate sshd[812]: {FAILED}",
        f"[  970.699396] gate sshd[812]: {FAILED}",
        f'<38>1 2025-12-03T04:05:06.1Z gate sshd 812 - [a b="]"] {FAILED}',
        f"2025-12-03 04:05:06.123456+0100 0x1a2b     Default     0x0      812    0    sshd: {FAILED}",
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


def test_other_programs_are_passed_over_and_what_is_no_log_is_said() -> None:
    records = SshdRecords()
    assert records.records("Dec  3 04:05:06 gate cron[7]: (root) CMD (x)", AT) == []
    assert records.records("a page of a novel", AT) is None
    [(at, _)] = records.records(f"Dec  3 04:05:06 gate sshd[812]: {FAILED}", AT) or []
    assert at is not None
    assert AT - 40 * 86_400 < at < AT
