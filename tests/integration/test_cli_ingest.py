"""`brain ingest sshd`: a real file in, threats and their events out."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain import EventStream
from support.command import Command
from support.sshd_log import attack, failed, line


def write(folder: Path, *lines: bytes, name: str = "auth.log") -> Path:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return path


async def published(url: str, folder: Path) -> list[str]:
    async with EventStream.open(url, journal=folder / "reader") as stream:
        return [event.payload["source"] async for event in stream.replay("threat.detected")]


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_threats_and_events_once_however_often_it_is_read(
    kind: str, brain: Command, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}" if kind == "sqlite" else request.getfixturevalue("redis_url")
    lines = [
        *attack("198.51.100.7", 60),
        line("message repeated 140 times: [ Failed password for root from 198.51.100.7 port 4 ssh2]"),
        *attack("203.0.113.9", 12),
        failed("192.0.2.1"),
    ]
    log = write(tmp_path, *lines)
    first = brain("ingest", "sshd", log, "--stream", url, "--json")
    assert first.code == 0
    assert [(row["source"], row["failed_passwords"], row["severity"], row["state"]) for row in first.json] == [
        ("198.51.100.7", 200, "CRITICAL", "new"),
        ("203.0.113.9", 12, "MEDIUM", "new"),
        ("192.0.2.1", 1, None, "below"),
    ]
    again = brain("ingest", "sshd", log, "--stream", url, "--json")
    assert [row["state"] for row in again.json] == ["known", "known", "below"]
    assert [row["threat_id"] for row in again.json] == [row["threat_id"] for row in first.json]
    grown = brain(
        "ingest", "sshd", write(tmp_path, *lines, *attack("203.0.113.9", 3, hour=5)), "--stream", url, "--json"
    )
    assert [(row["evidence"] or {}).get("failed_passwords") for row in grown.json] == [200, 15, None]
    assert [row["state"] for row in grown.json] == ["known", "grown", "below"]

    threats = brain("threats", "list", "--stream", url, "--json").json
    assert sorted((threat["source"], threat["metadata"]["evidence"]["failed_passwords"]) for threat in threats) == [
        ("198.51.100.7", 200),
        ("203.0.113.9", 15),
    ]
    assert sorted(await published(url, tmp_path)) == ["198.51.100.7", "203.0.113.9"]


def test_the_table_names_addresses_counts_and_threats_whole_in_a_pipe(brain: Command, tmp_path: Path) -> None:
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    ran = brain("ingest", "sshd", write(tmp_path, *attack(address, 30)))
    assert ran.code == 0
    [row] = [text.split() for text in ran.out.splitlines() if text.startswith(address)]
    assert row[:4] == [address, "30", "MEDIUM", "new"]
    assert row[4].startswith("thr_")
    assert len(row[4]) == 20
    assert "auth.log: 30 lines, 1 addresses, 1 threats, 1 new" in ran.err


def test_a_login_after_the_failures_is_shown(brain: Command, tmp_path: Path) -> None:
    login = line("Accepted password for root from 198.51.100.7 port 5 ssh2", at="Mar  3 05:00:00")
    ran = brain("ingest", "sshd", write(tmp_path, *attack("198.51.100.7", 10), login))
    assert "Logins after" in ran.out
    assert "CRITICAL" in ran.out


def test_unreadable_lines_are_counted_shown_and_not_fatal(brain: Command, tmp_path: Path) -> None:
    junk = [b"\x1b[31mred\x00\xff\n", b"x" * 200_000 + b"\n", line("Failed password for root from")]
    ran = brain("ingest", "sshd", write(tmp_path, *junk, *attack("198.51.100.7", 5)), "--json")
    assert ran.code == 0
    assert [row["source"] for row in ran.json] == ["198.51.100.7"]
    assert "3 lines could not be read" in ran.err
    assert "line 1: " in ran.err
    assert "\x1b[31m" not in ran.err


def test_what_is_passed_over_is_counted(brain: Command, tmp_path: Path) -> None:
    warning = line(
        "Address 198.51.100.7 maps to a.example, but this does not map back to the address - POSSIBLE BREAK-IN ATTEMPT!"
    )
    key = line("Failed publickey for ann from 203.0.113.9 port 4 ssh2: RSA SHA256:x")
    ran = brain("ingest", "sshd", write(tmp_path, *[warning] * 20, key, line("x", program="cron[7]")), "--json")
    assert (ran.code, ran.json) == (0, [])
    assert "passed over: 1 refused keys, 20 reverse-DNS warnings, 1 other lines" in ran.err


def test_what_is_no_log_is_an_error(brain: Command, tmp_path: Path) -> None:
    ran = brain("ingest", "sshd", write(tmp_path, b"a page\n", b"of a novel\n"))
    assert ran.code == 2
    assert "no line of a log in 2 lines; line 1: a page" in ran.err


def test_an_empty_file_is_an_empty_list(brain: Command, tmp_path: Path) -> None:
    ran = brain("ingest", "sshd", write(tmp_path), "--json")
    assert (ran.code, ran.json) == (0, [])


@pytest.mark.parametrize("name", ["absent.log", "."])
def test_a_file_that_cannot_be_read_ends_with_2(brain: Command, tmp_path: Path, name: str) -> None:
    ran = brain("ingest", "sshd", tmp_path / name)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert "cannot be read" in ran.err


def test_the_threshold_can_be_chosen(brain: Command, tmp_path: Path) -> None:
    log = write(tmp_path, *attack("198.51.100.7", 2))
    assert brain("ingest", "sshd", log, "--json").json[0]["state"] == "below"
    assert brain("ingest", "sshd", log, "--least", "2", "--json").json[0]["state"] == "new"
    assert brain("ingest", "sshd", log, "--least", "0").code == 2
