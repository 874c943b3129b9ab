"""The loop that sends the rows of one consumer's outbox."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from brain.connectors.sender import LONGEST_RETRY_AFTER, NotYet, Refused
from brain.errors import Unavailable
from brain.kit.database import create_tables, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import claims
from brain.kit.outbox.news import news_of
from brain.kit.outbox.table import OutboxRow, messages_topic, metadata, prune
from brain.logs import Log

log: Log = Log("brain.outbox")

T = TypeVar("T")
Deliver = Callable[[OutboxRow], Awaitable[Mapping[str, Any]]]


class Outcomes:
    """What a consumer makes of outcomes; a subclass overrides what it needs."""

    def sent(self, db: Connection, row: OutboxRow, answer: Mapping[str, Any]) -> None:
        """Called in the transaction that marks the row as sent. What it raises undoes that: the row is sent again."""

    def refused(self, db: Connection, row: OutboxRow, error: str) -> None:
        """Called in the transaction that marks the row as refused."""

    def postponed(self, db: Connection, row: OutboxRow, error: Exception) -> None:
        """Called in the transaction that puts the row off."""


_MINUTE = 60.0
_PRUNE_EVERY = 3600.0
_BOUND_EVERY = 30.0
_SETTLING_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class DispatchOptions:
    """How rows are sent; all times in seconds."""

    concurrency: int = 4
    """Rows of different keys that are sent at the same time in one channel."""
    per_minute: int | None = 60
    """Most tries a minute in one channel, by this process; None for no limit."""
    channel_per_minute: Mapping[str, int] = field(default_factory=dict)
    """The same for channels of their own limit, by name."""
    timeout: float = 60.0
    """A delivery that takes longer is cancelled, and tried again later."""
    lease: float = 120.0
    """How long a row belongs to the process that sends it; must be longer than `timeout`."""
    wait: float = 1.0
    """Before a row is tried again; it doubles with every further try."""
    max_wait: float = 300.0
    """The longest such wait. Tries go on for ever."""
    grace: float = 5.0
    """How long running deliveries may take to end when the dispatcher stops."""
    poll: float = 10.0
    """Seconds between two looks at the table when nothing was put here: for rows of other processes."""
    keep: float | None = 90 * 86_400.0
    """How long rows stay once they are sent, refused or cancelled; None for ever."""
    deletion_clock: Callable[[], float] = time.time
    """The Unix time that `keep` is counted to; `deletion_clock(store)` does not trust a clock that has stepped. May
    block."""

    def __post_init__(self) -> None:
        if self.lease <= self.timeout:
            raise ValueError("lease must be longer than timeout, or a row would be sent by two at once")


@dataclass
class _Channel:
    """What one channel's workers share."""

    name: str
    has_rows: asyncio.Event = field(default_factory=asyncio.Event)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    tries: deque[float] = field(default_factory=deque)  # when, within the last minute; monotonic, as the next but one
    failures: int = 0  # in a row, of the service and not of one message
    paused_until: float = 0.0


class Dispatcher:
    """Sends the rows of `consumer`, each channel by itself, so that a slow or dead service holds up no other.

    `deliver` sends one row and returns the service's answer, which is kept in the row; in the same transaction
    `outcomes` may note what the answer says. `deliver` raises Refused when the service will never accept the row (it is
    kept, counted and logged), Unavailable (TryLater with the service's `retry_after`) when the whole service is away,
    and NotYet or anything else when this one row cannot be sent: both are tried again, for ever, at growing intervals.
    Several processes may run it for the same consumer; a row is sent by one of them.
    """

    def __init__(
        self,
        database: Engine,
        consumer: str,
        deliver: Deliver,
        *,
        outcomes: Outcomes | None = None,
        options: DispatchOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.consumer = consumer
        self.counts: Counter[tuple[str, str]] = Counter()
        """Since the start, by channel and outcome: sent, refused, postponed, or lost (another process took over)."""
        self.database_errors: int = 0
        self._wake = asyncio.Event()
        self.database = database
        self._deliver = deliver
        self._outcomes = outcomes or Outcomes()
        self._options = options or DispatchOptions()
        self.clock = clock
        self._channels: dict[str, _Channel] = {}
        self._workers: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._pruned_at = -inf  # monotonic, as the next
        self._bounded_at = -inf
        self._looked_at = -inf  # by the wall clock

    async def run(self) -> None:
        """Send until cancelled, woken by each transaction of this process that puts messages.

        Deliveries that are running at the end may still end.

        A row whose delivery did not end stays claimed until its lease ends: it may have reached a service whose own
        search does not show it yet, and asking that search too early would do the thing twice.
        """
        self._stopping = False
        try:
            with news_of(self.database, messages_topic(self.consumer)).listen() as self._wake:
                while True:
                    self._wake.clear()
                    pause = await self._look()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker not in self._sending:
                worker.cancel()
        if self._sending:
            await asyncio.wait(self._sending, timeout=self._options.grace)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()
        self._channels.clear()

    async def _look(self) -> float:
        """Wake the channels that have rows due; seconds until the next look. Raises the error that ended a worker."""
        for worker in self._workers:
            if worker.done():
                worker.result()
        try:
            await for_tasks(self.database, create_tables, self.database, metadata)
            await self._bound_times()
            ready = await for_tasks(self.database, self._due_channels)
            await self._prune()
        except (SQLAlchemyError, Unavailable) as error:
            self._database_failed("finding rows", error)
            return min(self._options.wait, self._options.poll)
        now = self.clock()
        for name, at in ready.items():
            if at > now:
                continue
            if name not in self._channels:
                channel = self._channels[name] = _Channel(name)
                for _ in range(self._options.concurrency):
                    self._workers.append(asyncio.create_task(self._work(channel)))
                    self._workers[-1].add_done_callback(lambda _: self._wake.set())
            self._channels[name].has_rows.set()
        later = [at - now for at in ready.values() if at > now]
        return max(0.001, min([self._options.poll, *later]))

    def _due_channels(self) -> dict[str, float]:
        with reading(self.database).begin() as db:
            return claims.due_channels(db, self.consumer)

    async def _work(self, channel: _Channel) -> None:
        this = asyncio.current_task()
        assert this is not None
        has_sent = False
        while not self._stopping:
            channel.has_rows.clear()  # before looking, so that a row put meanwhile wakes it again
            token = uuid.uuid4().hex
            try:
                async with channel.turn:
                    await self._wait_for_turn(channel)
                    asked = time.monotonic()
                    row = await self._claim(channel, token)
                if row is None:
                    if has_sent:  # the last look saw the rows that were due, and none that falls due after them
                        self._wake.set()
                    has_sent = False
                    await channel.has_rows.wait()
                    continue
                if (left := self._options.lease - (time.monotonic() - asked)) <= 0:
                    self.counts[row.channel, "lost"] += 1
                    continue  # this process stood still, and another one may send the row
                has_sent = True
                self._sending.add(this)
                await self._send(channel, row, token, min(left, self._options.timeout))
            except SQLAlchemyError as error:
                self._database_failed("claiming a row", error)
                await asyncio.sleep(self._options.wait)
            finally:
                self._sending.discard(this)

    async def _claim(self, channel: _Channel, token: str) -> OutboxRow | None:
        row = await self._in_transaction(
            lambda db: claims.claim(db, self.consumer, channel.name, token, self.clock(), self._options.lease)
        )
        if row is not None:
            channel.tries.append(time.monotonic())
        return row

    async def _wait_for_turn(self, channel: _Channel) -> None:
        """Until the channel is not paused, and its tries of the last minute leave room for one more."""
        limit = self._options.channel_per_minute.get(channel.name, self._options.per_minute)
        while True:
            now = time.monotonic()
            while channel.tries and channel.tries[0] <= now - _MINUTE:
                channel.tries.popleft()
            until = channel.paused_until
            if limit is not None and len(channel.tries) >= limit:
                until = max(until, channel.tries[0] + _MINUTE)
            if until <= now:
                return
            await asyncio.sleep(until - now)

    async def _send(self, channel: _Channel, row: OutboxRow, token: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                answer = await self._deliver(row)
        except Refused as error:
            said = str(error)
            log.error(
                "a service refused a message for good; `brain outbox list --state refused` shows it",
                consumer=row.consumer,
                channel=row.channel,
                key=row.key,
                error=said,
            )
            await self._note_refusal(row, token, said)
        except NotYet as error:
            log.warning(
                "a service does not take one message yet; it is tried again later",
                consumer=row.consumer,
                channel=row.channel,
                error=str(error),
                attempts=row.attempts,
            )
            await self._postpone(row, token, error, error.retry_after or 0.0)
        except Unavailable as error:
            await self._service_away(channel, row, token, error)
        except TimeoutError:
            await self._service_away(channel, row, token, Unavailable(f"no answer within {seconds:.3g} s"))
        except Exception as error:  # whatever it is, the row is kept and tried again
            log.exception(
                "a message was not sent and is tried again later",
                consumer=row.consumer,
                channel=row.channel,
                key=row.key,
            )
            await self._postpone(row, token, Unavailable(f"{type(error).__name__}: {error}"), 0.0)
        else:
            channel.failures = 0
            await self._note_answer(row, token, answer)

    async def _note_answer(self, row: OutboxRow, token: str, answer: Mapping[str, Any]) -> None:
        def note(db: Connection) -> bool:
            if not claims.mark_sent(db, row, token, answer, self.clock()):
                return False
            self._outcomes.sent(db, row, answer)
            return True

        try:
            await self._settle(row, "sent", note)
        except SQLAlchemyError:
            raise
        except Exception as error:  # the consumer's own hook: the row is sent again
            log.exception(
                "the answer to a message was not stored; the message is sent again",
                consumer=row.consumer,
                channel=row.channel,
                key=row.key,
            )
            said = f"the answer was not stored: {type(error).__name__}: {error}"
            await self._postpone(row, token, Unavailable(said), 0.0)

    async def _note_refusal(self, row: OutboxRow, token: str, said: str) -> None:
        def note(db: Connection) -> bool:
            if not claims.mark_refused(db, row, token, said):
                return False
            self._outcomes.refused(db, row, said)
            return True

        await self._settle(row, "refused", note)

    async def _service_away(self, channel: _Channel, row: OutboxRow, token: str, error: Unavailable) -> None:
        """Pause the whole channel; afterwards other rows are tried first, so that no row blocks the rest.

        Deliveries that were under way at once and failed are one failure: each of them would double the pause.
        """
        if time.monotonic() >= channel.paused_until:
            channel.failures += 1
        retry_after = getattr(error, "retry_after", None) or 0.0
        pause = max(self._backoff(channel.failures), retry_after)
        channel.paused_until = max(channel.paused_until, time.monotonic() + pause)
        log.warning(
            "a service does not accept messages; they are tried again later",
            consumer=row.consumer,
            channel=row.channel,
            error=str(error),
            attempts=row.attempts,
        )
        await self._postpone(row, token, error, retry_after)

    async def _postpone(self, row: OutboxRow, token: str, error: Exception, at_least: float) -> None:
        due_at = self.clock() + max(self._backoff(row.attempts), at_least)

        def note(db: Connection) -> bool:
            if not claims.postpone(db, row, token, str(error), due_at):
                return False
            self._outcomes.postponed(db, row, error)
            return True

        await self._settle(row, "postponed", note)
        self._wake.set()  # the next look has to come by then

    async def _settle(self, row: OutboxRow, outcome: str, note: Callable[[Connection], bool]) -> None:
        """Store the outcome of the row, with a few tries: without it the row is sent again."""
        for left in reversed(range(_SETTLING_TRIES)):
            try:
                kept = await self._in_transaction(note)
            except SQLAlchemyError as error:
                if not left:
                    raise
                self._database_failed("storing an outcome", error)
                await asyncio.sleep(self._options.wait)
            else:
                self.counts[row.channel, outcome if kept else "lost"] += 1
                return

    async def _bound_times(self) -> None:
        """Now and then, and when the clock was set back: bring nearer what another time has put too far ahead."""
        now, steady = self.clock(), time.monotonic()
        if now >= self._looked_at and steady - self._bounded_at < _BOUND_EVERY:
            self._looked_at = now
            return
        self._looked_at, self._bounded_at = now, steady
        longest = max(self._options.max_wait, LONGEST_RETRY_AFTER)
        count = await self._in_transaction(
            lambda db: claims.bound_times(db, self.consumer, now, longest, self._options.lease)
        )
        if count:
            log.warning("rows waited for a time of another clock; they are sent now", count=count)

    async def _prune(self) -> None:
        keep = self._options.keep
        if keep is not None and time.monotonic() - self._pruned_at >= _PRUNE_EVERY:
            self._pruned_at = time.monotonic()
            now = min(self.clock(), await asyncio.to_thread(self._options.deletion_clock))
            await self._in_transaction(lambda db: prune(db, consumer=self.consumer, before=now - keep))

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a thread and a transaction, to its end also when cancelled meanwhile."""

        def transaction() -> T:
            with self.database.begin() as db:
                return work(db)

        running = asyncio.ensure_future(for_tasks(self.database, transaction))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait({running})
            raise

    def _backoff(self, tries: int) -> float:
        longest = min(self._options.max_wait, self._options.wait * 2.0 ** min(tries - 1, 30))
        return longest * random.uniform(0.5, 1.0)

    def _database_failed(self, doing: str, error: Exception) -> None:
        self.database_errors += 1
        log.warning("the database failed and is tried again", consumer=self.consumer, doing=doing, error=str(error))
