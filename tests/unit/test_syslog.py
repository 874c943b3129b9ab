"""Syslog lines, and the year they do not tell."""

from __future__ import annotations

from datetime import datetime

import pytest

from brain.threats.syslog import SyslogParser


def at(*parts: int) -> float:
    return datetime(*parts).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "host", "program", "message"),
    [
        ("Mar  3 04:05:06 gate sshd[812]: hello: world", "gate", "sshd", "hello: world"),
        ("Mar 13 04:05:06 gate CRON[9]: pam_unix(cron:session): x", "gate", "CRON", "pam_unix(cron:session): x"),
        ("<38>Mar  3 04:05:06 10.0.0.1 sshd: ", "10.0.0.1", "sshd", ""),
        ("Mar  3 04:05:06 gate sshd(pam_unix)[812]: x", "gate", "sshd", "x"),
        ("2024-03-03T04:05:06.123456+00:00 gate sshd-session[1]: x", "gate", "sshd-session", "x"),
        ("2024-03-03T04:05:06Z gate kernel: [ 1.0] x", "gate", "kernel", "[ 1.0] x"),
    ],
)
def test_parts(text: str, host: str, program: str, message: str) -> None:
    line = SyslogParser(at(2025, 6, 1)).parse(text)
    assert line is not None
    assert (line.host, line.program, line.message) == (host, program, message)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no log",
        "Mar  3 04:05:06 gate",
        "Mar  3 04:05:06 gate sshd[812] hello",
        "Mar 32 04:05:06 gate sshd[812]: x",
        "Mar  3 24:05:06 gate sshd[812]: x",
        "Xyz  3 04:05:06 gate sshd[812]: x",
        "Feb 30 04:05:06 gate sshd[812]: x",
        "2024-13-03T04:05:06Z gate sshd[812]: x",
        "0001-01-01T00:00:00 gate sshd[1]: x",
        "Mar  3 04:05:06  sshd[812]: x",
    ],
)
def test_no_syslog_line(text: str) -> None:
    assert SyslogParser(at(2025, 6, 1)).parse(text) is None


@pytest.mark.parametrize(
    ("written", "reference", "expected"),
    [
        ("Mar  3 04:05:06", (2025, 6, 1), (2025, 3, 3, 4, 5, 6)),
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
    line = SyslogParser(at(*reference)).parse(f"{written} gate sshd[1]: x")
    assert line is not None
    assert line.timestamp == at(*expected)


def test_iso_times_keep_their_offset() -> None:
    parser = SyslogParser(at(2025, 6, 1))
    times = [parser.parse(f"{text} gate sshd[1]: x") for text in ("2024-03-03T04:00:00+02:00", "2024-03-03T02:00:00Z")]
    assert times[0] is not None
    assert times[1] is not None
    assert times[0].timestamp == times[1].timestamp == 1_709_431_200.0
