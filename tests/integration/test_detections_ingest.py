"""Logs through the detections: growing, cut, packed and repeated files, each record once."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.detections.http import read_hits
from brain.detections.ingest import LogIngest
from brain.detections.loading import load
from brain.detections.models import LogKind
from brain.errors import InvalidInput
from brain.kit.database import open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    yield engine
    engine.dispose()


def ingest(database: sa.Engine, kind: str, *paths: Path) -> tuple[int, int, int]:
    """Records that counted, that were known, and that could not be read."""
    reading = LogIngest(database, load([], with_shipped=True), kind, LogKind())
    for path in paths:
        reading.read(path)
    return reading.summary.counted, reading.summary.repeated, reading.summary.unreadable


def hits(database: sa.Engine) -> dict[str, int]:
    return {one.name: one.count for one in read_hits(database, 100)}


def refusals(first: int, count: int) -> list[dict[str, Any]]:
    """CloudTrail's records of refused passwords, one a second."""
    identity = {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/ann"}
    return [
        {
            "eventID": f"event-{number}",
            "eventTime": f"2026-01-02T03:04:{number:02d}Z",
            "eventSource": "ec2.amazonaws.com",
            "eventName": "GetPasswordData",
            "errorCode": "Client.UnauthorizedOperation",
            "userIdentity": identity,
        }
        for number in range(first, first + count)
    ]


def lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in records)


def test_a_log_that_grows_is_cut_and_comes_again_counts_once(database: sa.Engine, tmp_path: Path) -> None:
    log = tmp_path / "trail.json"
    log.write_bytes(lines(refusals(0, 4)))
    assert ingest(database, "cloudtrail", log) == (4, 0, 0)
    assert hits(database) == {}
    log.write_bytes(lines(refusals(0, 7)))
    assert ingest(database, "cloudtrail", log) == (3, 0, 0)
    assert hits(database) == {"aws_password_data_burst": 7}
    log.write_bytes(lines(refusals(5, 5)))  # its head was cut off
    assert ingest(database, "cloudtrail", log) == (3, 2, 0)
    whole = tmp_path / "whole.json.gz"
    whole.write_bytes(gzip.compress(json.dumps({"Records": refusals(0, 12)}, indent=1).encode()))
    assert ingest(database, "cloudtrail", whole) == (2, 10, 0)
    packed = tmp_path / "packed.xz"
    packed.write_bytes(lzma.compress(lines(refusals(0, 12))))
    assert ingest(database, "cloudtrail", packed) == (0, 12, 0)
    assert hits(database) == {"aws_password_data_burst": 12, "aws_refused_burst": 12}


def test_the_same_line_twice_is_two_events_and_the_same_file_twice_is_one(database: sa.Engine, tmp_path: Path) -> None:
    log, copy = tmp_path / "access.log", tmp_path / "copy.log"
    request = b'192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "POST /login HTTP/1.1" 200 7 "-" "curl/8"\n'
    log.write_bytes(request * 20 + b"no line of an access log\n")
    copy.write_bytes(request * 20)
    assert ingest(database, "access-log", log, copy) == (20, 20, 1)
    assert hits(database) == {"web_login_burst": 20}
    log.write_bytes(log.read_bytes() + request * 3)
    assert ingest(database, "access-log", log, copy) == (3, 0, 0)
    assert hits(database) == {"web_login_burst": 23}


def test_a_file_that_is_no_log_says_so(database: sa.Engine, tmp_path: Path) -> None:
    log = tmp_path / "novel.json"
    log.write_bytes(b"[ it was a dark and stormy night\n")
    with pytest.raises(InvalidInput, match="is no JSON"):
        ingest(database, "cloudtrail", log)
    log.write_bytes(gzip.compress(lines(refusals(0, 3)))[:-9])
    with pytest.raises(InvalidInput, match="cannot be read to its end"):
        ingest(database, "cloudtrail", log)
    with pytest.raises(InvalidInput, match="give the path of a log"):
        ingest(database, "cloudtrail", tmp_path / "missing")
