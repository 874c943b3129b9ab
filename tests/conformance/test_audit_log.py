"""The audit log on SQLite and on PostgreSQL: appending, verifying, proving, searching, holding and deleting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain import Event, EventStream
from brain.audit import proofs
from brain.audit.checkpoint import Checkpoint
from brain.audit.lookup import find_logged
from brain.audit.merkle import BadProof, leaf_hash, root_of
from brain.audit.models import AuditEntry
from brain.audit.note import BadNote, Signer
from brain.audit.open import open_key, open_projector
from brain.audit.projector import AuditProjector
from brain.audit.repository import log_verifier, make_tables, newest_checkpoint
from brain.audit.retention import add_hold, check_retention, list_holds, prune, remove_hold
from brain.audit.search import AuditQuery, each, find
from brain.audit.settings import AuditSettings
from brain.audit.stored_bytes import stored as kept_bytes
from brain.audit.stored_bytes import whole
from brain.audit.tables import checkpoints, entries, identity
from brain.audit.tasks import open_component
from brain.audit.tree import Tampered
from brain.audit.verify import verify
from brain.charter import Pattern
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.database import open_database
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store
from support.audit import KEY, ORIGIN, append, denial, filled, projector_with_key, record, records
from support.clock import Clock
from support.waiting import until

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'brain-consumers.db'}")
    else:
        engine = open_database(request.getfixturevalue("postgres").url)
    yield engine
    engine.dispose()


def stored(database: sa.Engine) -> list[Any]:
    with database.connect() as connection:
        return list(connection.execute(sa.select(entries).order_by(entries.c.idx)))


def bytes_of(rows: Iterable[Any]) -> list[bytes]:
    found = [whole(row.payload, row.event_id, row.type) for row in rows]
    return [data for data in found if data is not None]


def note_of(database: sa.Engine) -> bytes:
    with database.connect() as connection:
        note = newest_checkpoint(connection)
    assert note is not None
    return note


def found(database: sa.Engine, **wanted: Any) -> list[int]:
    with database.connect() as connection:
        return [entry.index for entry in find(connection, AuditQuery(**wanted))]


def test_exact_bytes_are_logged_in_order_and_signed_for(database: sa.Engine) -> None:
    log = filled(database, [3, 300, 1])
    rows = stored(database)
    assert bytes_of(rows) == [one.data for one in records(0, 304)]
    assert [row.idx for row in rows] == list(range(304))
    assert [row.leaf_hash for row in rows] == [leaf_hash(data) for data in bytes_of(rows)]
    root = root_of([row.leaf_hash for row in rows])
    assert Checkpoint.open(note_of(database), log.signer.verifier) == Checkpoint(ORIGIN, 304, root)
    for key in (log.signer, log.signer.verifier):
        report = verify(database, key)
        assert (report.ok, report.size, report.root, report.checkpoints) == (True, 304, root.hex(), 3)


def test_rows_of_an_earlier_version_hold_all_bytes_and_read_the_same(database: sa.Engine) -> None:
    log = filled(database, [40])
    wanted = (denial(3).id, "policy.action_denied")  # in what is cut off
    proven = [proofs.prove(database, denial(number).id) for number in range(3)]
    assert [len(found(database, text=text)) for text in wanted] == [1, 38]
    with database.begin() as connection:
        before = connection.execute(sa.select(entries.c.idx, entries.c.payload).where(entries.c.idx < 20)).all()
        for index, one in enumerate(records(0, 20)):
            connection.execute(entries.update().where(entries.c.idx == index).values(payload=one.data))
    assert [len(one.data) - len(row.payload) for one, row in zip(records(0, 20), before, strict=True)] == [
        0 if number == 16 else len('{"id":"","type":"policy.action_denied",') + len(denial(number).id)
        for number in range(20)
    ]
    assert bytes_of(stored(database)) == [one.data for one in records(0, 40)]
    assert [proofs.prove(database, denial(number).id) for number in range(3)] == proven
    assert [len(found(database, text=text)) for text in wanted] == [1, 38]
    for key in (log.signer, log.signer.verifier):
        assert verify(database, key).ok


@pytest.mark.parametrize(
    ("data", "event_id", "type"),
    [
        (b'{"id":"e","type":"a.b","source":"s"}', "e", "a.b"),
        (b'{"id": "e", "type": "a.b", "source": "s"}', "e", "a.b"),
        (b'{"type":"a.b","id":"e","source":"s"}', "e", "a.b"),
        (b'{"id":"e","type":"a.b", "source":"s"}', "e", "a.b"),
        (b'{"id":"\\u0065","type":"a.b","source":"s"}', "e", "a.b"),
        ('{"id":"\u00fc","type":"a.b","source":"s"}'.encode(), "\u00fc", "a.b"),
        (b'{"id":"eee","type":"a.b","source":"s"}', "e", "a.b"),  # clipped
        (b'"no event', None, ""),
        (b"", None, ""),
    ],
)
def test_any_bytes_come_back(data: bytes, event_id: str | None, type: str) -> None:
    assert whole(kept_bytes(data, event_id, type), event_id, type) == data


def test_progress_is_told_and_an_empty_log_is_good(database: sa.Engine) -> None:
    log = filled(database, [])
    assert verify(database, log.signer).ok
    append(database, log, records(0, 20))
    told: list[tuple[int, int]] = []
    assert verify(database, log.signer, progress=lambda done, total: told.append((done, total))).ok
    assert told[-1] == (20, 20)


def test_only_the_newest_checkpoints_are_kept(database: sa.Engine) -> None:
    log = projector_with_key(database, KEY, AuditSettings(origin=ORIGIN, checkpoints=3), Clock())
    for first in range(6):
        append(database, log, records(first, 1))
    with database.connect() as connection:
        sizes = connection.scalars(sa.select(checkpoints.c.size).order_by(checkpoints.c.size)).all()
    assert sizes == [4, 5, 6]
    assert verify(database, log.signer).ok


def test_time_never_goes_back_in_the_log(database: sa.Engine) -> None:
    clock = Clock()
    log = filled(database, [2], clock)
    clock.advance(-10 * DAY)
    append(database, log, records(2, 2))
    times = [row.appended_at for row in stored(database)]
    assert times == sorted(times)
    assert verify(database, log.signer).ok


def test_a_log_goes_on_only_under_its_own_key_and_name(database: sa.Engine) -> None:
    filled(database, [5])
    append(database, projector_with_key(database, KEY, AuditSettings(), Clock()), records(5, 5))
    with pytest.raises(Conflict, match="another key"):
        projector_with_key(database, Ed25519PrivateKey.generate(), AuditSettings(origin=ORIGIN), Clock())
    with pytest.raises(Conflict, match=r"audit\.origin"):
        projector_with_key(database, KEY, AuditSettings(origin="example.com/other"), Clock())
    with database.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_log"))
    with pytest.raises(Tampered):
        projector_with_key(database, KEY, AuditSettings(origin=ORIGIN), Clock())


def test_an_altered_log_is_not_continued(database: sa.Engine) -> None:
    log = filled(database, [5])
    with database.begin() as connection:
        connection.execute(entries.update().where(entries.c.idx == 2).values(leaf_hash=bytes(32)))
    with pytest.raises(Tampered):
        append(database, log, records(5, 1))
    assert len(stored(database)) == 5
    assert verify(database, log.signer).first_bad_index == 2


def test_every_event_can_be_proven_offline(database: sa.Engine) -> None:
    log = filled(database, [40, 260])
    key = log.signer.verifier
    for number in (0, 1, 39, 40, 255, 256, 299):
        proof = proofs.prove(database, denial(number).id)
        proven = proofs.check(proofs.encode(proof), key)
        assert (proven.index, proven.size, proven.event) == (number, 300, denial(number).encode())
        with pytest.raises(BadNote):
            proofs.check(proofs.encode(proof), Signer(ORIGIN, Ed25519PrivateKey.generate()).verifier)
    with pytest.raises(NotFound, match="evt_policy_1_000000000000"):
        proofs.prove(database, "evt_policy_1_000000000000")


def test_an_altered_proof_proves_nothing(database: sa.Engine) -> None:
    log = filled(database, [20])
    good = proofs.encode(proofs.prove(database, denial(7).id))
    other = proofs.prove(database, denial(8).id)
    key = log.signer.verifier
    for old, new in (
        (b'"index": 7', b'"index": 6'),
        (proofs.prove(database, denial(7).id).hashes[0].encode(), bytes(64).hex().encode()[:64]),
        (proofs.prove(database, denial(7).id).leaf_hash.encode(), other.leaf_hash.encode()),
        (str(proofs.prove(database, denial(7).id).event).encode(), str(other.event).encode()),
        (f'"origin": "{ORIGIN}"'.encode(), b'"origin": "example.com/other"'),
        (b'"kind": "brain-audit-inclusion"', b'"kind": "other"'),
        (b'"event_id"', b'"event-id"'),
        (good, b"{"),
    ):
        assert old in good
        with pytest.raises((BadProof, BadNote)):
            proofs.check(good.replace(old, new), key)


def test_a_kept_checkpoint_is_continued(database: sa.Engine) -> None:
    log = filled(database, [300])
    kept = note_of(database)
    append(database, log, records(300, 45))
    proven = proofs.check(proofs.encode(proofs.prove_consistency(database, kept)), log.signer.verifier)
    assert (proven.old_size, proven.size) == (300, 345)
    report = verify(database, log.signer, kept)
    assert (report.ok, report.verified_from, report.size) == (True, 300, 345)
    forged = log.signer.sign(Checkpoint(ORIGIN, 300, bytes(32)).text())
    with pytest.raises(Tampered, match="does not continue"):
        proofs.prove_consistency(database, forged)
    with pytest.raises(Tampered, match="has 345"):
        proofs.prove_consistency(database, log.signer.sign(Checkpoint(ORIGIN, 346, bytes(32)).text()))
    assert verify(database, log.signer, forged).ok is False
    with pytest.raises(BadNote):
        verify(database, log.signer, kept.replace(b"300", b"200"))


def test_searching(database: sa.Engine) -> None:
    log = filled(database, [60])
    threat = Event(
        id="evt_threats_1703000500000_00000000000000aa",
        type="threat.detected",
        source="threats_service",
        timestamp=1_703_000_500.0,
        payload={"threat_id": "thr_1", "source": 'Ünïcode "quoted"'},
        meta={"correlation_id": "story-2", "version": "1.0"},
    )
    append(database, log, [record(threat)])
    assert found(database, pattern=Pattern("threat.*")) == [60]
    assert found(database, pattern=Pattern(["other.thing", "*.detected"])) == [60]
    assert found(database, pattern=Pattern("policy_action*")) == []
    assert found(database, agent="agent-3") == [n for n in range(59, -1, -1) if n % 5 == 3 and n % 17 != 16]
    assert found(database, threat="thr_1") == [60]
    assert found(database, correlation_id="story-2") == [60, *range(29, 19, -1)]
    assert found(database, correlation_id=denial(4).id) == [4]
    assert found(database, since=denial(55).timestamp, until=denial(57).timestamp) == [56, 55]
    assert found(database, text="DB/1", agent="agent-2") == [17, 12]
    assert found(database, text='ünïcode "QUOTED"') == [60]
    assert found(database, text="not json 16") == [16]
    assert found(database, agent="") == []
    assert found(database, agent="a\0") == []
    with database.connect() as connection:
        page = find(connection, AuditQuery(), before=50, limit=3)
    assert [entry.index for entry in page] == [49, 48, 47]
    assert [entry.index for entry in each(database, AuditQuery(text="db/"))] == [n for n in range(60) if n % 17 != 16]


def test_what_is_long_or_odd_is_logged_whole(database: sa.Engine) -> None:
    log = filled(database, [])
    event = denial(1)
    odd = Event(
        id="evt_" + "m" * 300 + "_1_000000000000",
        type="long." + "t" * 300,
        source="test_service",
        payload={"agent_id": "nul\0 " + "a" * 3000, "threat_id": 17, "text": "\U0001f600"},
        meta={"correlation_id": "c" * 5000, "version": "1.0"},
    )
    append(database, log, [record(event), record(odd), record(None, b""), record(None, b"\x00\xff")])
    assert verify(database, log.signer).ok
    assert found(database, correlation_id="c" * 5000) == [1]
    assert found(database, agent="nul\0 " + "a" * 3000) == [1]
    assert proofs.check(proofs.encode(proofs.prove(database, odd.id)), log.signer.verifier).event == odd.encode()


def test_old_payloads_are_deleted_and_the_proofs_of_the_rest_hold(database: sa.Engine) -> None:
    clock = Clock()
    log = filled(database, [300], clock)
    clock.advance(200 * DAY)
    append(database, log, records(300, 100))
    kept = proofs.encode(proofs.prove(database, denial(350).id))
    assert prune(database, log.sealing, 100, clock(), dry=True) == 300
    assert prune(database, log.sealing, 100, clock()) == 300
    assert prune(database, log.sealing, 100, clock()) == 0
    assert [row.payload is None for row in stored(database)] == [True] * 300 + [False] * 100
    for key in (log.signer, log.signer.verifier):
        report = verify(database, key)
        assert (report.ok, report.deleted) == (True, 300)
    assert proofs.check(kept, log.signer.verifier).index == 350
    gone = proofs.check(proofs.encode(proofs.prove(database, denial(7).id)), log.signer.verifier)
    assert (gone.index, gone.event) == (7, None)
    with database.connect() as connection:
        (entry,) = find(connection, AuditQuery(correlation_id=denial(7).id))
    assert (entry.data, entry.event, entry.type, entry.agent) == (None, None, "policy.action_denied", "agent-2")
    append(database, log, records(400, 3))
    assert verify(database, log.signer).ok


def test_what_is_held_is_not_deleted(database: sa.Engine) -> None:
    clock = Clock()
    log = filled(database, [50], clock)
    threat = Event(type="threat.detected", source="threats_service", payload={"threat_id": "thr_1"})
    append(database, log, [record(threat)])
    clock.advance(200 * DAY)
    story = add_hold(database, 1.0, pattern=None, correlation_id="story-2", reason="case 1", by="ann")
    kind = add_hold(database, 2.0, pattern="threat.*, other.*", correlation_id=None, reason="case 2", by="bob")
    assert list_holds(database) == [story, kind]
    held = [n for n in range(20, 30) if n % 17 != 16]
    assert prune(database, log.sealing, 90, clock()) == 51 - len(held) - 1
    assert [row.idx for row in stored(database) if row.payload is not None] == [*held, 50]
    assert verify(database, log.signer).ok
    assert remove_hold(database, story.id) == story
    assert prune(database, log.sealing, 90, clock()) == len(held)
    assert [row.idx for row in stored(database) if row.payload is not None] == [50]
    with pytest.raises(NotFound, match="hold list"):
        remove_hold(database, story.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pattern": None, "correlation_id": None},
        {"pattern": "threat.*", "correlation_id": "story"},
        {"pattern": None, "correlation_id": ""},
        {"pattern": "Not A Pattern", "correlation_id": None},
        {"pattern": "threat.*", "correlation_id": None, "reason": " "},
        {"pattern": "threat.*", "correlation_id": None, "reason": "x" * 1001},
    ],
)
def test_holds_that_are_refused(database: sa.Engine, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        add_hold(database, 1.0, **{"reason": "case", "by": "ann", **wrong})


def test_a_short_retention_must_be_asked_for_twice() -> None:
    assert check_retention(90, False) == 90
    assert check_retention(3, True) == 3
    for days in (89.9, 0, -1):
        with pytest.raises(InvalidInput):
            check_retention(days, False)


def test_lookup_for_other_consumers(database: sa.Engine) -> None:
    assert find_logged(database, denial(3).id) is None
    log = filled(database, [10])
    place = find_logged(database, denial(3).id)
    assert place is not None
    assert (place.index, place.size, place.leaf_hash) == (3, 10, leaf_hash(denial(3).encode()).hex())
    assert place.root == Checkpoint.open(note_of(database), log.signer.verifier).root.hex()
    assert find_logged(database, denial(30).id) is None


@asynccontextmanager
async def consuming(stream: EventStream, database: sa.Engine, **audit: Any) -> Any:
    """The consumer at work, twice over, as two processes would run it."""
    chosen = Settings(stream="memory://", audit=AuditSettings(**audit))
    context = PluginContext(stream, open_store("memory://"), database, chosen)
    async with open_component(context) as one, open_component(context) as other:
        tasks = [asyncio.create_task(task()) for component in (one, other) for task in component.tasks]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks), [task for task in tasks if not task.cancelled()]


def logged(database: sa.Engine) -> list[AuditEntry]:
    return list(each(database, AuditQuery()))


def test_a_growing_log_is_verified_without_false_alarm(database: sa.Engine) -> None:
    log = filled(database, [250])

    enough = threading.Event()

    def grow() -> int:
        first = 250
        while not enough.is_set():
            append(database, log, records(first, 25))
            first += 25
        return first

    seen: set[int] = set()
    with ThreadPoolExecutor(1) as pool:
        growing = pool.submit(grow)
        try:
            while len(seen) < 6 and not growing.done():
                report = verify(database, log.signer)
                assert report.ok, report
                seen.add(report.size)
        finally:
            enough.set()
    assert verify(database, log.signer).size == growing.result()


def test_two_signed_histories_are_found(database: sa.Engine) -> None:
    log = filled(database, [20])
    other = log.signer.sign(Checkpoint(ORIGIN, 20, bytes(32)).text())
    assert verify(database, log.signer, local=other).ok is False
    assert verify(database, log.signer, note_of(database), local=other).ok is False
    assert verify(database, log.signer, note_of(database), local=note_of(database)).ok


async def test_the_consumer_logs_the_stream_whole(stream: EventStream, database: sa.Engine, tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    make_tables(database)
    odd = b"not an event \xff"
    await stream.call(stream.backend.append, "another", "", "1", [odd])
    events = [denial(n) for n in range(250)]
    async with consuming(stream, database, key_file=key):
        for event in events:
            stream.publish(event)
        stream.publish(events[0])  # once more: a duplicate
        last = stream.publish(denial(250))
        await last
        await until(lambda: len(logged(database)) == 252)
    assert [entry.data for entry in logged(database)] == [odd, *(event.encode() for event in [*events, denial(250)])]
    signer = open_key(database, AuditSettings(key_file=key))
    assert isinstance(signer, Signer)
    assert verify(database, signer).ok
    assert signer.verifier == log_verifier(database)
    assert str(signer.verifier).startswith("brain-audit/")


async def test_the_consumer_deletes_what_is_old_and_says_so(database: sa.Engine, tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    clock = Clock()
    log = open_projector(database, AuditSettings(key_file=key), clock)
    append(database, log, records(0, 30))
    async with EventStream.open("memory://") as stream, consuming(stream, database, key_file=key):
        await until(lambda: logged(database)[-1].type == "audit.payloads_deleted")
    deleted = [entry.index for entry in logged(database) if entry.data is None]
    assert deleted == list(range(30))
    counts = [entry.event.payload["count"] for entry in logged(database) if entry.event is not None]
    assert sum(counts) >= 30
    assert verify(database, log.signer).ok


def test_a_log_that_another_task_began_and_filled_meanwhile_is_opened(
    database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for a log and the beginning of one, another may have begun it and appended to it."""
    log = filled(database, [3])
    monkeypatch.setattr("brain.audit.open._read_keychain", lambda _: None)
    opened = projector_with_key(database, KEY, AuditSettings(), Clock())
    assert opened.signer.verifier == log.signer.verifier
    append(database, opened, records(3, 2))
    assert verify(database, opened.signer).ok


def test_entries_without_a_name_are_no_new_log(database: sa.Engine) -> None:
    filled(database, [3])
    with database.begin() as connection:
        connection.execute(sa.delete(identity))
    with pytest.raises(Tampered, match="has entries and no name"):
        projector_with_key(database, KEY, AuditSettings(), Clock())


async def test_an_altered_log_waits_for_a_person_and_loses_nothing(
    database: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "audit.key"
    log = open_projector(database, AuditSettings(key_file=key))
    append(database, log, records(0, 5))
    refusals = 0
    honest = AuditProjector.apply

    def counting(self: AuditProjector, *arguments: Any) -> None:
        nonlocal refusals
        try:
            honest(self, *arguments)
        except Tampered:
            refusals += 1
            raise

    monkeypatch.setattr(AuditProjector, "apply", counting)
    last = entries.update().where(entries.c.idx == 4)
    (good,) = [row.leaf_hash for row in stored(database) if row.idx == 4]
    with database.begin() as connection:
        connection.execute(last.values(leaf_hash=bytes(32)))
    async with EventStream.open("memory://") as stream:
        for number in range(5, 9):
            stream.publish(denial(number))
        async with consuming(stream, database, key_file=key):
            await until(lambda: refusals >= 2)
            assert len(stored(database)) == 5
            with database.begin() as connection:
                connection.execute(last.values(leaf_hash=good))
            await until(lambda: len(stored(database)) == 9)
        assert await stream.dead_letters() == []
    assert verify(database, log.signer).ok


async def test_the_consumer_waits_for_its_database(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'later' / 'brain-consumers.db'}")
    async with EventStream.open("memory://") as stream, consuming(stream, database):
        stream.publish(denial(0))
        await asyncio.sleep(0)
        (tmp_path / "later").mkdir()
        path = tmp_path / "later" / "brain-audit.key"
        await until(path.exists)
        await until(lambda: find_logged(database, denial(0).id) is not None)
    database.dispose()
