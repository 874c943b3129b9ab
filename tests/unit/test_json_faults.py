"""JSON from outside that is no UTF-8, or nested too deeply: each reader says what it says of any other fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brain.connectors import jira, pagerduty, servicenow
from brain.connectors.sender import Answer
from brain.connectors.tickets import webhook_ticket
from brain.dna.commands.services import typed
from brain.errors import BrainError
from brain.kit.backup import manifest
from brain.server.idempotency import _content
from brain.stream.damage import _read as read_damage

FAULTY = {"no UTF-8": b'{"error": "Stra\xdfe"}', "deep": b'{"a":' * 20_000}  # Python 3.14 gets to its end


def refused(read: Callable[[bytes], Any]) -> Callable[[bytes, Path], bool]:
    def reads(data: bytes, folder: Path) -> bool:
        with pytest.raises(BrainError):
            read(data)
        return True

    return reads


def backup(data: bytes, folder: Path) -> bool:
    (folder / manifest.NAME).write_bytes(data)
    with pytest.raises(BrainError, match=r"cannot be read: .*; use another backup"):
        manifest.read(folder)
    return True


def damage(data: bytes, folder: Path) -> bool:
    (folder / "report").write_bytes(data)
    return read_damage(folder / "report") == {}


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize(
    "reads",
    [
        refused(lambda data: Answer(200, {}, data).json()),
        refused(lambda data: webhook_ticket(data, "issue", "key")),
        lambda data, folder: bool(jira._words(data)),
        lambda data, folder: bool(servicenow._words(data)),
        lambda data, folder: bool(pagerduty._words(data)) and pagerduty._read(data) == {},
        lambda data, folder: _content(b"", data) != _content(b"", b"{}"),
        lambda data, folder: isinstance(typed(data.decode("latin-1")), str | dict),
        backup,
        damage,
    ],
    ids=["answer", "webhook", "jira", "servicenow", "pagerduty", "request", "typed", "backup", "damage"],
)
def test_a_reader_of_json_takes_every_fault_as_one(
    reads: Callable[[bytes, Path], bool], fault: str, tmp_path: Path
) -> None:
    assert reads(FAULTY[fault], tmp_path)
