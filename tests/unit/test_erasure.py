"""What an erasure finds and leaves, in values, events and entries of the audit log."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from brain import Event
from brain.audit.certificate import Certificate, Remains, check, sign
from brain.audit.erasing import ErasedEntries, erase_in_log, holds_naming
from brain.audit.note import BadNote, Signer
from brain.audit.retention import add_hold
from brain.audit.tables import entries
from brain.audit.tree import Tampered
from brain.audit.verify import verify
from brain.errors import InvalidInput
from brain.kit.database import open_database
from brain.kit.erasure import Eraser, check_subject
from brain.stream.backends import anchor_of
from support.audit import KEY, ORIGIN, denial, filled

SUBJECT = "agent-3"
SIGNER = Signer(ORIGIN, KEY)


@pytest.fixture
def eraser() -> Eraser:
    return Eraser(SUBJECT)


@pytest.fixture
def database() -> Iterator[sa.Engine]:
    engine = open_database("memory://")
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SUBJECT, "M"),
        (f"by {SUBJECT}.", "by M."),
        (f"{SUBJECT}:delete", "M:delete"),
        (f"x\x1f{SUBJECT}", "x\x1fM"),
        ({SUBJECT: [1, {"a": SUBJECT}]}, {"M": [1, {"a": "M"}]}),
        (f'{{"a": "{SUBJECT}"}}', '{"a":"M"}'),
        ('["\\u0061gent-3"]', '["M"]'),
        *(
            (text, text)
            for text in ("agent-30", "my-agent-3", "agent-3.example.org", "x@agent-3", "agent-3@x", "Agent-3")
        ),
        (3, 3),
        (None, None),
    ],
)
def test_a_subject_is_a_value_or_a_word(eraser: Eraser, before: Any, after: Any) -> None:
    assert msgspec.json.encode(eraser.value(before)).replace(eraser.mark.encode(), b"M") == msgspec.json.encode(after)


def test_longer_texts_may_be_left_and_are_counted() -> None:
    eraser = Eraser(SUBJECT, whole_values=True)
    assert eraser.value([SUBJECT, f"by {SUBJECT}"]) == [eraser.mark, f"by {SUBJECT}"]
    assert eraser.mentions == 1


def test_bytes_of_each_form(eraser: Eraser) -> None:
    value = {"a": SUBJECT, "n": 1.5}
    new = {"a": eraser.mark, "n": 1.5}
    assert msgspec.msgpack.decode(eraser.data(msgspec.msgpack.encode(value))) == new
    assert msgspec.json.decode(zlib.decompress(eraser.data(zlib.compress(msgspec.json.encode(value))))) == new
    assert eraser.data(f"x {SUBJECT}".encode()) == f"x {eraser.mark}".encode()
    unknown = b"\xff\xfe" + SUBJECT.encode()
    assert eraser.data(unknown) == unknown
    assert eraser.unread == 1


def test_an_erased_event_keeps_its_place(eraser: Eraser) -> None:
    event = denial(3)
    data = event.encode()
    erased = eraser.event(data)
    now = Event.decode(erased)
    assert (now.id, now.type, now.source, now.timestamp) == (event.id, event.type, event.source, event.timestamp)
    assert now.payload == {**event.payload, "agent_id": eraser.mark}
    assert anchor_of(erased) == anchor_of(data)
    assert eraser.event(erased) == erased
    again = Eraser("db/3").event(erased)
    assert again != erased
    assert anchor_of(again) == anchor_of(data)
    assert eraser.event(denial(4).encode()) == denial(4).encode()
    no_event = f"{SUBJECT} is no event".encode()
    assert anchor_of(eraser.event(no_event)) == anchor_of(no_event)
    assert SUBJECT.encode() not in eraser.event(no_event)


@pytest.mark.parametrize(
    "subject", ["open", "ab", " agent-3", "a\nb-3", "x" * 201, "policy_service", "redacted:subject:1"]
)
def test_what_is_no_id_is_refused(subject: str) -> None:
    with pytest.raises(InvalidInput, match="subject"):
        check_subject(subject, i_know=False)
    assert check_subject("open", i_know=True) == "open"


def test_the_log_verifies_after_an_erasure(database: sa.Engine, eraser: Eraser) -> None:
    log = filled(database, [30, 30])
    looked = erase_in_log(database, log.sealing, eraser, dry=True)
    done = erase_in_log(database, log.sealing, eraser)
    named = sum(1 for number in range(60) if number % 17 and number % 5 == 3)
    assert (done.payloads, done.fields) == (looked.payloads, looked.fields)
    assert 0 < done.payloads <= named + 1
    for key in (SIGNER, SIGNER.verifier):
        report = verify(database, key)
        assert (report.ok, report.deleted) == (True, done.payloads), report.problem
    assert erase_in_log(database, log.sealing, eraser) == ErasedEntries()
    other = erase_in_log(database, log.sealing, Eraser("story-1"))  # whose entries in part are erased already
    assert other.fields > other.payloads > 0
    assert verify(database, SIGNER).ok
    with database.begin() as connection:
        connection.execute(sa.update(entries).where(entries.c.agent == eraser.mark).values(agent="agent-9"))
    report = verify(database, SIGNER)
    assert (report.ok, report.first_bad_index is not None) == (False, True)


def test_a_hold_keeps_what_it_holds(database: sa.Engine, eraser: Eraser) -> None:
    log = filled(database, [30])
    hold = add_hold(database, 1.0, pattern=None, correlation_id="story-1", reason=f"case of {SUBJECT}", by="ann")
    done = erase_in_log(database, log.sealing, eraser)
    assert done.held_by == {hold.id}
    with database.connect() as connection:
        left = connection.execute(sa.select(entries.c.idx, entries.c.payload).where(entries.c.agent == SUBJECT)).all()
    assert [row.idx for row in left] == done.held
    assert all(row.payload for row in left)
    assert holds_naming(database, eraser) == [hold.id]
    assert verify(database, SIGNER).ok


def test_an_altered_entry_is_not_hidden_by_an_erasure(database: sa.Engine, eraser: Eraser) -> None:
    log = filled(database, [30])
    with database.begin() as connection:
        connection.execute(sa.update(entries).where(entries.c.idx == 4).values(agent=SUBJECT))
    with pytest.raises(Tampered, match="entry 4"):
        erase_in_log(database, log.sealing, eraser)


def test_a_certificate_verifies_and_an_altered_one_does_not() -> None:
    certificate = Certificate(
        id="erasure_1", subject="redacted:subject:1", reason="r", by="ann", began=1.0, ended=2.0,
        counts={"stream: events": 3}, remains=[Remains("backups", "copies", "deleted")], log_before="", log_after="n",
    )  # fmt: skip
    note = sign(certificate, SIGNER)
    assert check(note, SIGNER.verifier) == certificate
    for altered in (note.replace(b'events":3', b'events":4'), note.replace(b"ann", b"bob"), note[:-9] + b"\n"):
        with pytest.raises(BadNote):
            check(altered, SIGNER.verifier)
    with pytest.raises(BadNote, match="another note"):
        check(SIGNER.sign("a\n1\nb\n"), SIGNER.verifier)
