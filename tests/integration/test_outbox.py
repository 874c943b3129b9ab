"""The outbox on a real database: what is sent, in which order, how often, and what a dead service does to others."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from brain.connectors.sender import Refused, TryLater
from brain.kit.database import create_tables, open_database
from brain.kit.outbox import (
    Dispatcher,
    DispatchOptions,
    Message,
    OutboxRow,
    Outcomes,
    cancel,
    channels,
    metadata,
    outbox,
    outbox_metrics,
    prune,
    put,
    retry_refused,
)
from support.clock import Clock
from support.postgres_server import PostgresServer
from support.waiting import until

QUICK = DispatchOptions(wait=0.01, max_wait=0.05, poll=0.05, per_minute=None, timeout=5, lease=10, grace=0.1)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path}/consumers.db"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url
    engine = open_database(url)
    create_tables(engine, metadata)
    yield engine
    engine.dispose()


def add(engine: Engine, *rows: tuple[str, str, str], due_at: float | None = None) -> None:
    """Rows of (channel, key, dedup)."""
    with engine.begin() as db:
        for channel, key, dedup in rows:
            put(
                db,
                Message(
                    consumer="alerting", channel=channel, key=key, dedup=dedup, body={"text": dedup}, due_at=due_at
                ),
                time.time(),
            )


def states(engine: Engine) -> dict[str, str]:
    with engine.begin() as db:
        return {row.dedup: row.state for row in db.execute(select(outbox.c.dedup, outbox.c.state))}


def all_sent(engine: Engine) -> Callable[[], bool]:
    return lambda: set(states(engine).values()) == {"sent"}


@asynccontextmanager
async def running(*dispatchers: Dispatcher) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(dispatcher.run()) for dispatcher in dispatchers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Service:
    """A service that keeps what it is given, and does first what a test tells it."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.faults: dict[str, list[Exception]] = {}
        self.before: Callable[[OutboxRow], Any] | None = None

    async def deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        if self.before is not None:
            await self.before(row)
        if waiting := self.faults.get(row.dedup):
            raise waiting.pop(0)
        self.got.append(row.dedup)
        return {"id": f"answer to {row.dedup}"}


async def test_what_is_put_is_sent_once_and_its_answer_kept(database: Engine) -> None:
    add(database, ("slack", "k1", "a"), ("slack", "k1", "a"), ("slack", "k2", "b"))
    service = Service()
    noted: list[tuple[str, str]] = []

    class Noting(Outcomes):
        def sent(self, db: Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
            noted.append((row.dedup, answer["id"]))

    dispatcher = Dispatcher(database, "alerting", service.deliver, outcomes=Noting(), options=QUICK)
    async with running(dispatcher):
        await until(lambda: dispatcher.counts == {("slack", "sent"): 2})
    assert sorted(service.got) == ["a", "b"]
    assert sorted(noted) == [("a", "answer to a"), ("b", "answer to b")]
    with database.begin() as db:
        rows = db.execute(select(outbox).order_by(outbox.c.id)).all()
        assert [(row.answer, row.attempts, row.claimed_by) for row in rows] == [
            ({"id": "answer to a"}, 1, None),
            ({"id": "answer to b"}, 1, None),
        ]
        (state,) = channels(db, "alerting")
        assert (state.channel, state.waiting, state.sent, state.refused) == ("slack", 0, 2, 0)


async def test_rows_of_one_key_are_sent_in_order_also_when_the_first_fails(database: Engine) -> None:
    add(database, *[("jira", f"k{n % 3}", f"{n:02}") for n in range(30)])
    service = Service()
    service.faults = {"00": [TryLater("down")] * 3, "04": [ValueError("a bug")]}
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await until(all_sent(database))
    for key in range(3):
        assert [name for name in service.got if int(name) % 3 == key] == [f"{n:02}" for n in range(30) if n % 3 == key]


async def test_a_put_that_is_rolled_back_sends_nothing(database: Engine) -> None:
    with database.connect() as db, db.begin() as transaction:
        assert put(db, Message(consumer="alerting", channel="c", key="k", dedup="gone", body={}), time.time())
        transaction.rollback()
    add(database, ("c", "k", "kept"))
    service = Service()
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await until(all_sent(database))
    assert service.got == ["kept"]


async def test_a_hanging_channel_does_not_delay_another(database: Engine) -> None:
    add(database, *[("dead", f"k{n}", f"dead{n}") for n in range(10)])
    service = Service()
    hanging = asyncio.Event()

    async def before(row: OutboxRow) -> None:
        if row.channel == "dead":
            hanging.set()
            await asyncio.Event().wait()

    service.before = before
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await hanging.wait()
        add(database, *[("live", "k", f"live{n}") for n in range(20)])
        await until(lambda: len(service.got) == 20)
    assert set(service.got) == {f"live{n}" for n in range(20)}
    assert {state for name, state in states(database).items() if name.startswith("dead")} == {"waiting"}


async def test_a_service_that_comes_back_gets_everything_once(database: Engine) -> None:
    add(database, *[("c", f"k{n}", f"r{n}") for n in range(25)])
    service = Service()
    down = True
    tries = 0

    async def before(row: OutboxRow) -> None:
        nonlocal tries
        tries += 1
        if down:
            raise TryLater("the service is down")

    service.before = before
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await until(lambda: tries >= 5)
        assert service.got == []
        down = False
        await until(all_sent(database))
    assert Counter(service.got) == Counter({f"r{n}": 1 for n in range(25)})


async def test_deliveries_that_fail_at_once_are_one_failure_of_the_service(database: Engine) -> None:
    add(database, *[("c", f"k{n}", f"r{n}") for n in range(4)])
    service = Service()
    all_under_way = asyncio.Barrier(4)

    async def before(row: OutboxRow) -> None:
        await all_under_way.wait()
        raise TryLater("the service is down")

    service.before = before
    dispatcher = Dispatcher(database, "alerting", service.deliver, options=replace(QUICK, wait=60.0, max_wait=3600.0))
    async with running(dispatcher):
        await until(lambda: dispatcher.counts["c", "postponed"] == 4)
        pause = dispatcher._channels["c"].paused_until - time.monotonic()
    assert 20 < pause <= 60, "four failures one after the other would be 240 to 480 s"


async def test_a_row_that_the_service_fails_on_does_not_block_the_rest(database: Engine) -> None:
    add(database, ("c", "poison", "poison"), *[("c", f"k{n}", f"r{n}") for n in range(10)])
    service = Service()
    service.faults = {"poison": [TryLater("500")] * 10_000}
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await until(lambda: len(service.got) == 10)
    assert states(database)["poison"] == "waiting"


async def test_a_refused_row_is_kept_counted_and_sent_again_when_asked(database: Engine) -> None:
    add(database, ("c", "k", "bad"), ("c", "k", "good"))
    service = Service()
    service.faults = {"bad": [Refused("the service", 400, "no such project")]}
    dispatcher = Dispatcher(database, "alerting", service.deliver, options=QUICK)
    async with running(dispatcher):
        await until(lambda: states(database) == {"bad": "refused", "good": "sent"})
        with database.begin() as db:
            (state,) = channels(db, "alerting")
            assert state.last_error is not None
            assert "no such project" in state.last_error
            assert state.refused == 1
            assert retry_refused(db, consumer="alerting", now=time.time()) == 1
        await until(lambda: dispatcher.counts == {("c", "refused"): 1, ("c", "sent"): 2})
    assert service.got == ["good", "bad"]
    assert set(states(database).values()) == {"sent"}


async def test_two_dispatchers_send_each_row_once(database: Engine) -> None:
    add(database, *[(f"c{n % 4}", f"k{n % 20}", f"r{n}") for n in range(60)])
    service = Service()
    async with running(*[Dispatcher(database, "alerting", service.deliver, options=QUICK) for _ in range(3)]):
        await until(all_sent(database))
    assert Counter(service.got) == Counter({f"r{n}": 1 for n in range(60)})


async def test_a_crash_between_the_answer_and_the_commit_sends_the_row_again_with_the_same_dedup(
    database: Engine,
) -> None:
    add(database, ("c", "k", "first"), ("c", "k", "second"))
    got: list[tuple[str, int]] = []
    answered = asyncio.Event()

    async def answer_and_crash(row: OutboxRow) -> Mapping[str, Any]:
        got.append((row.dedup, row.attempts))  # the service has it, and the process dies before it knows
        answered.set()
        await asyncio.Event().wait()
        return {}

    async def deliver(row: OutboxRow) -> Mapping[str, Any]:
        got.append((row.dedup, row.attempts))
        return {}

    short = DispatchOptions(wait=0.01, poll=0.05, per_minute=None, timeout=0.9, lease=1.0, grace=0)
    crashing = asyncio.create_task(Dispatcher(database, "alerting", answer_and_crash, options=short).run())
    await answered.wait()
    crashing.cancel()
    await asyncio.gather(crashing, return_exceptions=True)
    async with running(Dispatcher(database, "alerting", deliver, options=QUICK)):
        await until(all_sent(database))
    assert got == [("first", 1), ("first", 2), ("second", 1)]


async def test_a_delivery_under_way_ends_when_the_dispatcher_stops(database: Engine) -> None:
    add(database, ("c", "k", "first"), ("c", "k", "second"))
    service = Service()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def before(row: OutboxRow) -> None:
        begun.set()
        await go_on.wait()

    service.before = before
    patient = DispatchOptions(wait=0.01, poll=0.05, grace=30)
    task = asyncio.create_task(Dispatcher(database, "alerting", service.deliver, options=patient).run())
    await begun.wait()
    task.cancel()
    go_on.set()
    await asyncio.gather(task, return_exceptions=True)
    assert states(database) == {"first": "sent", "second": "waiting"}


async def test_a_claim_of_a_killed_process_is_taken_over_when_its_lease_ends(database: Engine) -> None:
    add(database, ("c", "k", "r"))
    with database.begin() as db:
        db.execute(outbox.update().values(claimed_by="dead-1", claimed_until=time.time() + 0.3))
    service = Service()
    async with running(Dispatcher(database, "alerting", service.deliver, options=QUICK)):
        await until(all_sent(database))
        with database.begin() as db:
            row = db.execute(select(outbox)).one()
    assert service.got == ["r"]
    assert row.sent_at >= row.created_at + 0.2


async def test_what_falls_due_after_the_others_of_its_channel_waits_for_no_poll(database: Engine) -> None:
    add(database, ("c", "k1", "now"))
    add(database, ("c", "k2", "later"), due_at=time.time() + 0.3)
    service = Service()
    options = replace(QUICK, poll=3600)
    async with running(Dispatcher(database, "alerting", service.deliver, options=options)):
        await until(all_sent(database))
    assert service.got == ["now", "later"]


async def test_a_failing_hook_rolls_the_sent_mark_back(database: Engine) -> None:
    add(database, ("c", "k", "r"))
    service = Service()
    failures = [KeyError("id")]

    class Failing(Outcomes):
        def sent(self, db: Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
            if failures:
                raise failures.pop()

    async with running(Dispatcher(database, "alerting", service.deliver, outcomes=Failing(), options=QUICK)):
        await until(all_sent(database))
    assert service.got == ["r", "r"]


async def test_a_service_is_left_alone_for_as_long_as_it_asks(database: Engine) -> None:
    add(database, ("c", "k1", "a"), ("c", "k2", "b"))
    times: list[float] = []

    async def deliver(row: OutboxRow) -> Mapping[str, Any]:
        times.append(time.time())
        if len(times) == 1:
            raise TryLater("slow down", retry_after=0.5)
        return {}

    how = DispatchOptions(wait=0.01, max_wait=0.05, poll=0.05, per_minute=None, timeout=5, lease=10, concurrency=1)
    async with running(Dispatcher(database, "alerting", deliver, options=how)):
        await until(all_sent(database))
    assert all(later - times[0] >= 0.45 for later in times[1:])


async def test_a_channel_keeps_its_rate(database: Engine) -> None:
    add(database, *[("slow", f"k{n}", f"s{n}") for n in range(5)], *[("free", f"k{n}", f"f{n}") for n in range(5)])
    service = Service()
    how = DispatchOptions(wait=0.01, poll=0.05, per_minute=None, channel_per_minute={"slow": 3})
    async with running(Dispatcher(database, "alerting", service.deliver, options=how)):
        await until(lambda: len(service.got) == 8)
        add(database, ("free", "k", "last"))
        await until(lambda: "last" in service.got)
    assert sum(name.startswith("s") for name in service.got) == 3


async def test_cancelled_rows_are_not_sent_and_later_ones_wait_for_their_time(database: Engine) -> None:
    add(database, ("c", "held", "page"), due_at=time.time() + 3600)
    add(database, ("c", "held", "resolve"))
    service = Service()
    dispatcher = Dispatcher(database, "alerting", service.deliver, options=QUICK)
    async with running(dispatcher):
        add(database, ("c", "other", "other"))
        await until(lambda: service.got == ["other"])
        with database.begin() as db:
            assert cancel(db, consumer="alerting", key="held", now=time.time()) == 2
            assert put(db, Message(consumer="alerting", channel="c", key="held", dedup="new", body={}), time.time())
            assert not put(
                db, Message(consumer="alerting", channel="c", key="held", dedup="page", body={}), time.time()
            )
        await until(lambda: service.got == ["other", "new"])
    assert states(database) == {"page": "cancelled", "resolve": "cancelled", "other": "sent", "new": "sent"}


async def test_any_text_can_be_kept(database: Engine) -> None:
    odd = "nul \0, a snowman ☃, and " + "length" * 1000
    add(database, ("c", odd + "1", odd + "a"), ("c", odd + "2", odd + "b"), ("c", odd + "2", odd + "b"))
    got: list[Any] = []

    async def deliver(row: OutboxRow) -> Mapping[str, Any]:
        got.append(row.body["text"])
        if len(got) == 1:
            raise Refused("the service", 400, odd)
        if len(got) == 2:
            raise TryLater(odd)
        return {"said": odd}

    async with running(Dispatcher(database, "alerting", deliver, options=QUICK)):
        await until(lambda: set(states(database).values()) == {"refused", "sent"})
    assert set(got) == {odd + "a", odd + "b"}
    with database.begin() as db:
        assert cancel(db, consumer="alerting", key=odd + "1", now=time.time()) == 0
        assert retry_refused(db, consumer="alerting", now=time.time()) == 1
        assert (
            cancel(db, consumer="alerting", key=odd + "1", now=time.time())
            + cancel(db, consumer="alerting", key=odd + "2", now=time.time())
            == 1
        )


async def test_what_waits_and_was_done_is_shown_to_prometheus(database: Engine) -> None:
    add(database, ("c", "k1", "good"), ("c", "k2", "bad"), ("dead", "k", "waiting"))
    service = Service()
    service.faults = {"bad": [Refused("the service", 400, "no")], "waiting": [TryLater("down", 3600)]}
    dispatcher = Dispatcher(database, "alerting", service.deliver, options=QUICK)
    done = {("c", "sent"): 1, ("c", "refused"): 1, ("dead", "postponed"): 1}
    async with running(dispatcher):
        await until(lambda: dispatcher.counts == done)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in await asyncio.to_thread(outbox_metrics, dispatcher)
        for sample in family.samples
    }
    assert found["brain_alerting_outbox_messages", "c", "sent"] == 1
    assert found["brain_alerting_outbox_messages", "c", "refused"] == 1
    assert found["brain_alerting_outbox_messages", "dead", "waiting"] == 1
    assert found["brain_alerting_outbox_oldest_waiting_seconds", "dead"] > 0
    assert found["brain_alerting_outbox_oldest_waiting_seconds", "c"] == 0
    assert {
        key[1:]: value for key, value in found.items() if key[0] == "brain_alerting_outbox_deliveries_total"
    } == done
    assert found["brain_alerting_outbox_database_errors_total",] == 0


async def test_a_database_that_is_away_is_waited_for(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/mounted/consumers.db")
    service = Service()
    dispatcher = Dispatcher(engine, "alerting", service.deliver, options=QUICK)
    async with running(dispatcher):
        await until(lambda: dispatcher.database_errors >= 3)  # its folder is missing
        (tmp_path / "mounted").mkdir()
        create_tables(engine, metadata)
        add(engine, ("c", "k", "r"))
        await until(all_sent(engine))
    assert service.got == ["r"]
    engine.dispose()


async def test_a_table_that_cannot_be_read_ends_the_dispatcher_loudly(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    create_tables(engine, metadata)
    add(engine, ("c", "k", "r"))
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE outbox SET body = 'no JSON'")
    with pytest.raises(ValueError, match="Expecting value"):
        async with asyncio.timeout(30):
            await Dispatcher(engine, "alerting", Service().deliver, options=QUICK).run()
    engine.dispose()


async def test_one_consumers_rows_are_not_anothers(database: Engine) -> None:
    add(database, ("c", "k", "soc's"))
    with database.begin() as db:
        put(db, Message(consumer="incidents", channel="c", key="k", dedup="soc's", body={}), time.time())
    service = Service()
    async with running(Dispatcher(database, "incidents", service.deliver, options=QUICK)):
        await until(lambda: bool(service.got))
    with database.begin() as db:
        found = {row.consumer: row.state for row in db.execute(select(outbox))}
        assert found == {"alerting": "waiting", "incidents": "sent"}
        assert prune(db, consumer="incidents", before=time.time() + 1) == 1
        assert prune(db, consumer="alerting", before=time.time() + 1) == 0


def test_a_lease_shorter_than_a_delivery_is_refused() -> None:
    with pytest.raises(ValueError, match="lease"):
        DispatchOptions(timeout=10, lease=5)


async def test_no_row_waits_for_a_clock_that_was_set_back(database: Engine) -> None:
    """A year ahead one row was put, one postponed and one claimed by a process that died; then the clock is right."""
    clock = Clock(time.time() + 365 * 86_400)
    service = Service()
    service.faults = {"postponed": [TryLater("down")]}
    dispatcher = Dispatcher(database, "alerting", service.deliver, options=QUICK, clock=clock)
    async with running(dispatcher):
        with database.begin() as db:
            for channel, name, delay in (("a", "postponed", 0.0), ("b", "claimed", 0.0), ("c", "put", 0.2)):
                message = Message(
                    consumer="alerting", channel=channel, key=name, dedup=name, body={}, due_at=clock() + delay
                )
                if name == "postponed":
                    put(db, message, clock() - 2 * 365 * 86_400)
                else:
                    put(db, message, clock())
            mine = outbox.c.dedup == "claimed"
            db.execute(outbox.update().where(mine).values(claimed_by="dead", claimed_until=clock() + 10, attempts=1))
        await until(lambda: dispatcher.counts["a", "postponed"] == 1)
        clock.advance(-365 * 86_400)
        await until(lambda: service.got == ["postponed"])
        clock.advance(0.3)
        await until(lambda: service.got == ["postponed", "put"])
        await until(lambda: list(states(database).values()).count("sent") == 2)  # else their leases would end, too
        clock.advance(10.1)  # the lease of the row that a dead process holds
        await until(all_sent(database))
    assert service.got == ["postponed", "put", "claimed"]


async def test_a_wrong_year_frees_no_dedup(database: Engine) -> None:
    """`keep` is counted to the clock of deletions: a message that was sent is not sent a second time."""
    options = replace(QUICK, keep=3600.0, deletion_clock=time.time)
    service = Service()
    add(database, ("slack", "k", "a"))
    async with running(Dispatcher(database, "alerting", service.deliver, options=options)):
        await until(all_sent(database))
    wrong = Dispatcher(
        database, "alerting", service.deliver, options=options, clock=lambda: time.time() + 75 * 365 * 86_400
    )
    async with running(wrong):
        add(database, ("slack", "k", "b"))
        await until(lambda: states(database) == {"a": "sent", "b": "sent"})
    add(database, ("slack", "k", "a"))
    assert states(database) == {"a": "sent", "b": "sent"}
