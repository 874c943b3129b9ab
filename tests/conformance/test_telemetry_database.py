"""Usage and samples are stored alike in SQLite and PostgreSQL: each call once, under its agent; each sample once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.kit.database import open_database
from brain.kit.outbox import events
from brain.telemetry import tables, usage
from brain.telemetry.claims import Held, Wanted, claim, release
from brain.telemetry.counted import Counted
from brain.telemetry.crossings import Limits, crossed_in
from brain.telemetry.query import TelemetryQuery
from brain.telemetry.samples import Sample, SampleWriter, Stored
from brain.telemetry.settings import LimitSettings, TelemetrySettings
from brain.telemetry.tables import make_tables
from brain.telemetry.usage import UsageBook
from support.spans import AGENT, CHAT, TOKENS, Span, protobuf, usage_in

NOW = 1_800_000_000.0
SETTINGS = TelemetrySettings(limits={"battery": LimitSettings(value="battery", limit=10, clear=20, direction="below")})


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        made = open_database(f"sqlite:///{tmp_path}/consumers.db")
    else:
        made = open_database(request.getfixturevalue("postgres").url)
    make_tables(made)
    yield made
    made.dispose()


def take(engine: sa.Engine, book: UsageBook, *spans: Span, at: float = NOW) -> None:
    with engine.begin() as db:
        book.apply(db, [protobuf(spans).read(1 << 20)], at)


def chat(trace: int, id: int, parent: int, **more: Any) -> Span:
    return Span(trace, id, parent, {**CHAT, **TOKENS, **more})


def agent(trace: int, id: int, parent: int, name: str) -> Span:
    return Span(trace, id, parent, {**AGENT, **TOKENS, "gen_ai.agent.name": name})


def test_a_call_finds_its_agent_in_whatever_order_spans_come(engine: sa.Engine) -> None:
    book = UsageBook(SETTINGS)
    tree = [chat(1, 4, 3), Span(1, 3, 2, {}), agent(1, 2, 1, "ann"), Span(1, 1, 0, {})]
    for trace in range(2, 14):
        spans = [Span(trace, *span[1:]) for span in tree]
        random.Random(trace).shuffle(spans)
        for at in range(0, 4, 1 + trace % 3):
            take(engine, book, *spans[at : at + 1 + trace % 3])
    assert usage_in(engine) == {("ann", "fake-1"): (12, 12 * 120, 12 * 17)}
    with engine.begin() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(tables.waiting)).scalar_one() == 0


def test_a_call_counts_once_whoever_sends_it_again(engine: sa.Engine) -> None:
    book, other = UsageBook(SETTINGS), UsageBook(SETTINGS)
    first = [chat(1, id, 0) for id in range(1, 700)]
    take(engine, book, *first)
    take(engine, other, *first[300:], *[chat(1, id, 0) for id in range(700, 900)], first[0])
    assert usage_in(engine) == {("svc", "fake-1"): (899, 899 * 120, 899 * 17)}
    assert (book.repeated, other.repeated) == (0, 400)
    with engine.begin() as db:
        book.release(db, NOW + SETTINGS.repeated_seconds + 1)
        assert db.execute(sa.select(sa.func.count()).select_from(tables.counted)).scalar_one() == 0


def test_calls_of_a_transaction_that_failed_count_when_they_come_again(engine: sa.Engine) -> None:
    book, other = UsageBook(SETTINGS), UsageBook(SETTINGS)
    calls = [chat(1, id, 0) for id in range(1, 9)]
    take(engine, book, *calls[:2])
    for _ in range(2):
        with engine.connect() as db, db.begin() as transaction:
            book.apply(db, [protobuf(calls[2:]).read(1 << 20)], NOW)
            transaction.rollback()
    take(engine, other, *calls[2:5])  # under the number that the failed transaction had
    take(engine, book, *calls[2:])
    take(engine, UsageBook(SETTINGS), *calls)  # after a restart
    assert usage_in(engine) == {("svc", "fake-1"): (8, 8 * 120, 8 * 17)}


def test_so_many_calls_are_recognised(engine: sa.Engine) -> None:
    counted = Counted(900, most=100)
    ids = [number.to_bytes(24, "big") for number in range(300)]
    for place in range(0, 300, 10):
        with engine.begin() as db:
            assert not counted.add(db, {*ids[place : place + 10]}, NOW + place)
    with engine.begin() as db:
        before = counted.add(db, {*ids}, NOW + 300)
    assert {*ids[-70:]} <= before
    assert len(before) <= 100


def test_calls_counted_before_the_table_changed_are_recognised(tmp_path: Path) -> None:
    made = open_database(f"sqlite:///{tmp_path}/consumers.db")
    with made.begin() as db:
        db.exec_driver_sql("CREATE TABLE telemetry_seen (id BLOB PRIMARY KEY, at BIGINT NOT NULL)")
        rows = [((1).to_bytes(16, "big") + id.to_bytes(8, "big"), int(NOW) - id % 3) for id in range(1, 9)]
        db.exec_driver_sql("INSERT INTO telemetry_seen VALUES (?, ?)", rows)
        tables.received.create(db)
    make_tables(made)
    assert not sa.inspect(made).has_table("telemetry_seen")
    book = UsageBook(SETTINGS)
    take(made, book, *[chat(1, id, 0) for id in range(1, 11)])
    assert book.repeated == 8
    made.dispose()


def test_an_agent_that_never_comes_is_waited_for_and_then_given_up(engine: sa.Engine) -> None:
    book = UsageBook(SETTINGS)
    take(engine, book, chat(1, 4, 3), chat(2, 4, 3), chat(3, 4, 0))
    assert usage_in(engine) == {("svc", "fake-1"): (1, 120, 17)}  # the root of a trace has nobody above it
    take(engine, book, Span(2, 3, 0, {}))
    assert usage_in(engine) == {("svc", "fake-1"): (2, 240, 34)}
    with engine.begin() as db:
        book.release(db, NOW + 29)
    assert usage_in(engine)["svc", "fake-1"][0] == 2
    with engine.begin() as db:
        book.release(db, NOW + 31)
    assert usage_in(engine) == {("svc", "fake-1"): (3, 360, 51)}
    take(engine, book, agent(1, 3, 0, "late"), at=NOW + 32)
    assert usage_in(engine) == {("svc", "fake-1"): (3, 360, 51)}  # what is counted is never moved


def test_what_waits_and_the_number_of_labels_are_bounded(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "WAITING", 5)
    monkeypatch.setattr(usage, "LABELS", 7)
    book = UsageBook(SETTINGS)
    take(engine, book, *[chat(trace, 4, 3) for trace in range(1, 13)])
    with engine.begin() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(tables.waiting)).scalar_one() == 5
    take(engine, book, *[chat(50, id, 3, **{"gen_ai.agent.name": f"a{id}"}) for id in range(1, 21)])
    found = usage_in(engine)
    assert sum(calls for calls, *_ in found.values()) == 7 + 20
    assert found["other", "other"] == (14, 14 * 120, 14 * 17)
    assert len(found) == 8


def sample(seq: int, **values: float) -> Sample:
    return Sample(seq, values, NOW + seq)


class Robot:
    """A source's rows, changed as the server changes them."""

    def __init__(self, engine: sa.Engine, run: str = "r1") -> None:
        self.engine = engine
        self.wanted = Wanted.of("robot", run, 1.0)
        self.writer = SampleWriter(SETTINGS, Limits(SETTINGS.limits))

    def claim(self, at: float = NOW, over: str = "") -> Held:
        with self.engine.begin() as db:
            return claim(db, self.wanted, over, at)

    def send(self, *samples: Sample, at: float = NOW) -> Stored:
        with self.engine.begin() as db:
            return self.writer.apply(db, "robot", self.wanted.connection, samples, at)

    def row(self) -> dict[str, Any]:
        return TelemetryQuery(self.engine).source("robot")

    def announced(self) -> list[str]:
        with self.engine.begin() as db:
            found = db.execute(sa.select(events.c.data).order_by(events.c.id)).scalars().all()
        return [str(data).partition("telemetry.")[2].partition('"')[0] for data in found]


def test_samples_count_once_and_gaps_are_true(engine: sa.Engine) -> None:
    robot = Robot(engine)
    assert robot.claim() == Held(True, 0)
    numbers = [0.1 * n for n in range(1, 41)]
    for first in range(0, 40, 5):  # each batch repeats half of the one before
        stored = robot.send(*(sample(n + 1, x=numbers[n]) for n in range(max(0, first - 3), first + 5)))
        assert len(stored.fresh) == 5
    assert robot.send(sample(44, x=1.0), sample(44, x=9.0), sample(46, x=1.0)).seq == 46
    row = robot.row()
    assert (row["samples"], row["lost"], row["seq"], row["repeated"]) == (42, 4, 46, 22)
    windows = TelemetryQuery(engine).series("robot", "x", NOW, NOW + 39, 100)
    assert [window["at"] - NOW for window in windows] == [0, 10, 20, 30]
    for window in windows:
        inside = [value for n, value in enumerate(numbers, 1) if window["at"] <= NOW + n < window["at"] + 10]
        total = 0.0
        for value in inside:
            total += value
        assert (window["min"], window["max"], window["count"]) == (min(inside), max(inside), len(inside))
        assert window["mean"] == total / len(inside)
    assert robot.announced() == ["connection_established", "gap", "gap"]


def test_one_connection_holds_a_source(engine: sa.Engine) -> None:
    first, second = Robot(engine), Robot(engine)
    first.claim()
    first.send(sample(1, x=1))
    assert second.claim(NOW + 1) == Held(False, 1, first.wanted.connection, NOW)
    assert second.claim(NOW + 3) == Held(True, 1)  # silent for too long
    assert first.send(sample(2, x=1)).replaced
    assert second.send(sample(2, x=2)).seq == 2
    with engine.begin() as db:
        assert not release(db, first.wanted, "lost", False, NOW + 4)
        assert release(db, second.wanted, "closed by the source", True, NOW + 4)
    assert second.row()["state"] == "closed"
    assert first.announced() == [
        "connection_established",
        "connection_closed",
        "connection_established",
        "metrics_published",
        "connection_closed",
    ]
    assert Robot(engine, run="r2").claim(NOW + 5) == Held(True, 0)  # a new numbering


def test_limits_do_not_flap_and_windows_are_published_once_a_minute(engine: sa.Engine) -> None:
    robot = Robot(engine)
    robot.claim()
    for n, value in enumerate((50, 11, 10, 12, 9, 15, 21, 30), 1):
        robot.send(sample(n, battery=value), at=NOW + n)
    assert robot.row()["crossed"] == []
    stored = robot.send(sample(9, battery=8), at=NOW + 59)
    assert [crossing.change.crossed for crossing in stored.crossings] == [True]
    robot.send(sample(10, battery=8), at=NOW + 61)
    assert robot.row()["crossed"] == ["battery"]
    wanted = ["limit_crossed", "limit_cleared", "limit_crossed", "metrics_published"]
    assert robot.announced() == ["connection_established", *wanted]
    assert crossed_in("{}") == []
