"""The thread that takes what the journals hold to the backend, each record once and in order.

How far a journal is stored is written as a mark `n:c`: all records before n, and all CRITICAL ones before c (c >= n),
are stored. The backend stores the mark in the same step as the records and refuses an append that does not build on it,
so that neither a repeated nor a forgotten batch is possible; when in doubt the shipper asks for the mark and resumes.
"""

from __future__ import annotations

import os
import random
import threading
import time
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

from brain.errors import Unavailable
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.backends import Backend, MarkMismatch, position_key
from brain.stream.damage import DamageLog
from brain.stream.journal import (
    Journal,
    Reader,
    Record,
    is_journal_name,
    lock_folder,
    remove,
    segment_path,
    segments,
)
from brain.stream.journal_bounds import note_oldest
from brain.stream.journal_owner import owner_of
from brain.stream.outage import Outage
from brain.stream.owned_file import OwnedFile
from brain.stream.store_delays import StoreDelays
from brain.stream.threads import start_whole
from brain.stream.waking import Waking

log: Log = Log("brain.shipper")

BATCH = 2000  # records in one append
BACKLOG = 5000  # records waiting from which on CRITICAL ones go first
KEPT_SEGMENTS = 16  # stored segments kept for a backend that may come back empty
ORPHANS = 64  # journals of ended processes taken up at a time; each needs up to three descriptors
_HOUSEKEEPING = 0.5  # seconds
_OURS_FIRST = 0.00025
"""Seconds after an event was stored before others are woken: who waits for it in this process goes first."""
_AFTER_OTHERS = 0.002
"""Seconds after that in which this thread leaves the interpreter to whoever handles what was stored."""
GATHER_SECONDS = 0.005
"""How long events are gathered before the next append, while they come faster than BUSY and nobody awaits a receipt."""
BUSY = 1000.0  # events a second
_KEPT = "the stream was closed before this event was stored; it is kept"
_REMEMBERED = 64  # batches whose positions are known to receipts that are awaited late


class Shipment:
    """One journal on its way: its reader, its mark, and the batch under way."""

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        damage: DamageLog,
        writer: Journal | None = None,
        lock: OwnedFile | None = None,
    ) -> None:
        self.name: str = folder.name
        self.folder = folder
        self.next: int = 0  # n of the mark
        self._next_critical = 0  # c of the mark
        self._backend = backend
        self._writer = writer
        self._lock = lock
        self._reader = Reader(folder, writer, damage)
        self._ahead = Reader(folder, writer, damage)
        self._mark: str | None = None  # what the backend is known to have stored; None: must ask
        self._batch: tuple[str, list[Record]] | None = None
        self._full: deque[tuple[int, str]] = deque()  # stored segments: first number, stream position when stored
        self._removed = False
        self._complete_at: str | None = None  # the stream's tail when the last record had been stored

    def ship(self) -> tuple[list[Record], list[str]]:
        """Store one batch; the records and their positions, both empty when there was nothing. Raises Unavailable."""
        if self._mark is None:
            self._resume(self._backend.mark(self.name))
        if self._batch is None:
            self._batch = self._next_batch()
        mark, records = self._batch
        if not records:  # nothing there, or only CRITICAL ones that went ahead
            self._batch = None
            self.next, self._next_critical = _parse(mark)
            return [], []
        assert self._mark is not None
        try:
            positions = self._backend.append(
                self.name, self._mark, mark, [record.data for record in records], self._prefetch
            )
        except MarkMismatch as mismatch:
            log.warning(
                "the backend knows another mark of this journal; going on from there",
                journal=self.name,
                expected=self._mark,
                stored=mismatch.stored,
            )
            self._resume(mismatch.stored)
            return [], []
        self._mark, self._batch = mark, None
        self.next, self._next_critical = _parse(mark)
        self._complete_at = None
        return records, positions

    def _prefetch(self) -> None:
        self._reader.prefetch(BATCH)

    def _resume(self, stored: str) -> None:
        """Set the readers to where the mark says; an unknown mark means everything that the journal still holds."""
        self._batch = self._complete_at = None
        self._mark = stored
        self.next, self._next_critical = _parse(stored)
        self._reader.seek(self.next)
        self._ahead.seek(self._next_critical)
        self._full.clear()

    def look_again(self) -> None:
        """The files were made again: open them by their names, where the backend says that it is."""
        self._mark = self._batch = None

    def recall(self) -> bool:
        """Whether the backend still knows all that it has stored of this journal; what it forgot is shipped again.

        It forgets when it comes back empty or with an older memory, and says so only when asked. Raises Unavailable.
        """
        if self._backend.durable or self._mark is None or self._batch is not None:
            return True
        stored = self._backend.mark(self.name)
        if stored == self._mark:
            return True
        log.warning(
            "the backend has forgotten events; sending them again",
            journal=self.name,
            expected=self._mark,
            stored=stored,
        )
        self._resume(stored)
        return False

    def _next_batch(self) -> tuple[str, list[Record]]:
        following = max(self.next, self._next_critical)  # CRITICAL records before it are stored
        writer = self._writer
        if writer is not None and writer.next_seq - self.next > BACKLOG and writer.last_critical >= following:
            if self._ahead.next_seq < self.next:
                self._ahead.seek(self.next)
            critical = self._ahead.read_critical(BATCH)
            if critical:
                return f"{self.next}:{self._ahead.next_seq}", critical
        ahead = self._next_critical
        records = self._reader.read(BATCH)
        while records and all(record.critical and record.seq < ahead for record in records):
            records = self._reader.read(BATCH)
        upto = self._reader.next_seq
        fresh = [record for record in records if not (record.critical and record.seq < ahead)]
        return f"{upto}:{max(upto, ahead)}", fresh

    def trim(self, safe: Callable[[], str | None]) -> None:
        """Delete segments whose records are all stored, and, on a backend that may forget, read by all groups too."""
        firsts = segments(self.folder)
        # One that is written to stays: its successor may be there, made by a change that was interrupted.
        written = self._writer.tail[0] if self._writer is not None else 1 << 63
        done = [first for first, following in pairwise(firsts) if following <= self.next and first < written]
        if self._backend.durable:
            if done:
                note_oldest(self.folder, firsts[len(done)])
            for first in done:
                segment_path(self.folder, first).unlink()
            return
        known = {first for first, _ in self._full}
        if fresh := [first for first in done if first not in known]:
            tail = self._backend.tail()
            self._full.extend((first, tail) for first in fresh)
        if self._full:
            read_to = position_key(safe() or "")
            while self._full and (position_key(self._full[0][1]) <= read_to or len(self._full) > KEPT_SEGMENTS):
                note_oldest(self.folder, next(first for first in firsts if first > self._full[0][0]))
                segment_path(self.folder, self._full.popleft()[0]).unlink(missing_ok=True)

    def finish(self, safe: Callable[[], str | None], *, force: bool = False) -> bool:
        """Remove the journal if nothing in it is needed any more; whether it is gone. `force`: if all is stored."""
        if self._writer is not None and not self._writer.next_seq:  # the backend never heard of it
            remove(self.folder)
            self.close()
            return True
        if not self._removed:
            if self.waiting or not (force or self._backend.durable or self._read_by_all(safe)) or not self.recall():
                return False
            # In this order: were the mark forgotten first, a crash in between would have all of it shipped again.
            remove(self.folder)
            self._removed = True
        self._backend.forget(self.name)
        self.close()
        return True

    def _read_by_all(self, safe: Callable[[], str | None]) -> bool:
        """Whether every group has acknowledged what was the newest event when the last of this journal was stored."""
        if self._complete_at is None:
            self._complete_at = self._backend.tail()
        read_to = safe()
        return read_to is None or position_key(read_to) >= position_key(self._complete_at)

    @property
    def waiting(self) -> bool:
        """Whether there are records that are not known to be stored."""
        if self._writer is not None:
            return self._batch is not None or self._writer.next_seq > self.next
        return self._mark is None or self._batch is not None or bool(self._peek())

    def has_stored(self, seq: int, critical: bool) -> bool:
        """Whether the record is known to be stored."""
        return seq < self.next or (critical and seq < self._next_critical)

    def _peek(self) -> list[Record]:
        self._reader.seek(self.next)
        found = self._reader.read(1)
        self._reader.seek(self.next)
        return found

    def close(self) -> None:
        """Release files and the lock."""
        self._reader.close()
        self._ahead.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


class Shipper:
    """Ships this process's own journal, and those that dead processes left in the same folder."""

    def __init__(
        self,
        backend: Backend,
        root: Path,
        journal: Journal,
        on_stored: Callable[[], None],
        outage: Outage,
        look: Callable[[], bool],
    ) -> None:
        """`look` mends the folder of the journal, as Journal.look does, at a moment when nobody appends."""
        self.idle: bool = False
        self.failures: int = 0
        self.recovered: int = 0  # records of dead processes stored by this one
        self.last_error: str = ""
        self.stored_to: str = ""
        """The position of the last event that was stored, of which `on_stored` has been called or is about to be."""
        self._backend = backend
        self._root = root
        self._journal = journal
        journal.when_begun = self._prepare_at_once
        self._on_stored = on_stored
        self._outage = outage
        self._look = look
        self.damage: DamageLog = DamageLog(root)
        self._own = Shipment(journal.folder, backend, self.damage, journal)
        self.only_of: str = ""
        """The stream whose journals are taken up, of those that say whose they are; "" for all of them."""
        self._passed_over: set[str] = set()  # names in the folder that are no journals we may take up
        self._orphans: list[Shipment] = []
        self._identified = False
        self._next_housekeeping = 0.0
        self._waking = Waking()
        self._stored_at = 0.0  # by the monotonic clock
        self._stopping = threading.Event()
        self._draining = False
        self._drained = threading.Event()
        self._receipts = InterruptibleLock()
        self._waiters: dict[int, list[Future[str]]] = {}
        self._flushes: list[tuple[int, Future[None]]] = []  # who waits until all before a number are stored
        self._positions: deque[tuple[Sequence[int], list[str]]] = deque(maxlen=_REMEMBERED)
        self.store_delays: StoreDelays = StoreDelays()
        self._over = False  # from then on nobody learns of what is stored
        self._ending = False
        self._given_up = False
        self._last: Callable[[], None] | None = None
        self.thread: threading.Thread = threading.Thread(target=self._run, name="brain-shipper", daemon=True)

    @property
    def stored(self) -> int:
        """How many events of this process the backend has stored, in order."""
        return self._own.next

    @property
    def corrupt(self) -> int:
        """Journal records lost to damage in this folder, by whichever process noticed, until its report is removed."""
        return self.damage.total

    def start(self) -> None:
        """Begin shipping."""
        start_whole(self.thread)

    @property
    def has_died(self) -> bool:
        """Whether its thread has ended without being asked to: nothing is stored any more."""
        return self.thread.ident is not None and not self.thread.is_alive() and not self._stopping.is_set()

    def wake(self) -> None:
        """There is something new in the journal; needed only while `idle`. May interrupt itself."""
        self._waking.wake()

    def position_of(self, seq: int, critical: bool) -> Future[str]:
        """The stream position of the record once it is stored; "" when that was so long ago that it is forgotten."""
        future: Future[str] = Future()
        future.set_running_or_notify_cancel()  # nobody can cancel it from now on: a waiter that gives up harms no other
        with self._receipts:
            for seqs, positions in self._positions:
                if seq in seqs:
                    future.set_result(positions[seqs.index(seq)])
                    return future
            if self._own.has_stored(seq, critical):
                future.set_result("")
            elif self._over:
                future.set_exception(Unavailable(_KEPT))
            else:
                self._waiters.setdefault(seq, []).append(future)
                self._waking.wake()
        return future

    def when_stored(self, upto: int) -> Future[None]:
        """Done when all records before the number `upto` are stored."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        with self._receipts:
            if self._own.next >= upto:
                future.set_result(None)
            elif self._over:
                future.set_exception(Unavailable(_KEPT))
            else:
                self._flushes.append((upto, future))
                self._waking.wake()
        return future

    def _answer_flushes(self) -> None:
        with self._receipts:
            waiting, self._flushes = self._flushes, []
            for upto, future in waiting:
                if self._own.next >= upto:
                    future.set_result(None)
                else:
                    self._flushes.append((upto, future))

    def stop(self, timeout: float, finishing: float = 5.0, last: Callable[[], None] | None = None) -> bool:
        """Ship what is left for at most `timeout` seconds, then end the thread; whether all was stored.

        The thread removes the journal if it can, for which `finishing` more seconds are granted, and calls `last` as
        its last step. One that is stuck in a call to a hung backend is left to itself, and ends with the process.
        """
        deadline = time.monotonic() + timeout
        self._draining = True
        self._drained.clear()
        self.wake()
        if self._own.waiting and self.thread.is_alive():
            self._drained.wait(timeout)
        self._last = last
        self._stopping.set()
        self.wake()
        if self.thread.ident is not None:  # else it was never started: the process was ending already
            self.thread.join(max(0.1, deadline - time.monotonic()))
        if self._ending:
            self.thread.join(finishing)
        else:
            self._given_up = True
            self._journal.close()
        self._fail_receipts()
        return not self._own.waiting

    def leave_to_parent(self) -> None:
        """In a forked child, where its thread does not run: close what the child has of the parent's files."""
        self._own.close()
        for orphan in self._orphans:
            orphan.close()
        self._journal.close()

    def _end(self) -> None:
        """What the thread does at its end."""
        self._ending = True
        if not self._given_up:  # else the call that it was stuck in came back late: the journal is the next start's
            everything = not self._own.waiting
            self._journal.close()
            try:
                if everything:
                    self._own.finish(self._safe)
                for orphan in list(self._orphans):  # a process that lives shortly has no other time for it
                    self._guarded(orphan, self._finish_theirs)
            except Unavailable as error:
                log.warning("the journal is kept; the next start ships it", journal=self._own.name, error=str(error))
        self._own.close()
        for orphan in self._orphans:
            orphan.close()
        if self._last is not None:
            self._last()

    def _fail_receipts(self) -> None:
        with self._receipts:
            for futures in self._waiters.values():
                for future in futures:
                    future.set_exception(Unavailable(_KEPT))
            self._waiters.clear()
            for _, flush in self._flushes:
                flush.set_exception(Unavailable(_KEPT))
            self._flushes.clear()
            self._over = True

    def _run(self) -> None:
        try:
            self._ship_until_stopped()
        finally:
            if self._stopping.is_set():
                self._end()

    def _ship_until_stopped(self) -> None:
        delay = 0.0
        while not self._stopping.is_set():
            try:
                before, worked = self._own.next, self._turn()
                delay = 0.0
            except Unavailable as error:
                self.failures += 1
                self.last_error = str(error)
                delay = min(1.0, max(0.02, delay * 2)) * random.uniform(0.5, 1.0)
                self._outage.report("storing", error)
                self._stopping.wait(delay)
                continue
            except Exception as error:
                self.failures += 1
                self.last_error = repr(error)
                log.exception("the shipper failed; trying again")
                self._stopping.wait(1.0)
                continue
            if not self._own.waiting:
                self._drained.set()
            if self._flushes:
                self._answer_flushes()
            if self._is_busy(self._own.next - before):
                self._waking.wait(GATHER_SECONDS)
            elif not worked or self._is_done():
                self._sleep(_HOUSEKEEPING)

    def _is_busy(self, stored: int) -> bool:
        """Whether it is better to gather than to store at once; so many events were stored just now.

        An append of a few events costs as much as one of many, and so does all that it wakes. While this thread
        gathers, `publish` does not wake it, but whoever awaits a receipt does. An event that others follow one by one,
        as each causes the next, is not held up: more than one must have come.
        """
        before, self._stored_at = self._stored_at, time.monotonic()
        many = stored > 1 and stored >= BUSY * (self._stored_at - before)
        awaited = self._waiters or self._flushes or self._draining
        return many and not awaited and self._journal.next_seq - self._own.next < BATCH

    def _wait_for_others(self) -> None:
        """Let those who were woken by what was stored go on: what follows is not urgent, and would be in their way."""
        self._sleep_if_done(_OURS_FIRST)
        self._backend.wake_others()
        self._sleep_if_done(_AFTER_OTHERS)

    def _sleep_if_done(self, seconds: float) -> None:
        if self._is_done() and not (self._flushes or self._draining):
            self._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        """Wait until something is published, at most so long."""
        self.idle = True
        if self._journal.next_seq <= self._own.next:
            self._waking.wait(seconds)
        self.idle = False

    def _is_done(self) -> bool:
        """Whether there is nothing to store, so that there is no need to look at the files once more."""
        return not self._orphans and self._journal.next_seq <= self._own.next

    def _prepare_at_once(self) -> None:
        """Have a thread make the journal's next segment: while much is published this one is behind, and the publisher
        would make it."""
        try:
            start_new_thread(self._prepare, ())
        except RuntimeError as error:
            log.debug("no thread makes the journal's next segment; a later turn does", error=str(error))

    def _prepare(self) -> None:
        try:
            self._journal.prepare(now=True)
        except OSError as error:
            log.debug("the journal's next segment was not made ahead; a later turn does it", error=str(error))

    def _turn(self) -> bool:
        if not self._identified:
            self._backend.identity()  # nothing is stored in a stream of a newer version
            self._identified = True
        records, positions = self._own.ship()
        if records:
            self._announce(records, positions)
            self._wait_for_others()
            self.store_delays.observe(records[0].data)
        self._journal.prepare()
        late = time.monotonic() - self._next_housekeeping
        if late >= 0 and (self._is_done() or late >= _HOUSEKEEPING):
            self._housekeeping()
        moved = bool(records)
        for orphan in list(self._orphans):
            moved |= self._guarded(orphan, self._ship_theirs)
        return moved

    def _ship_theirs(self, orphan: Shipment) -> bool:
        theirs, _ = orphan.ship()
        self.recovered += len(theirs)
        if theirs:
            self._on_stored()
            self._backend.wake_others()
        return bool(theirs)

    def _guarded(self, orphan: Shipment, work: Callable[[Shipment], bool]) -> bool:
        """Work on the journal of an ended process; one that cannot be worked on holds up nobody else's."""
        try:
            return work(orphan)
        except Unavailable:
            raise
        except Exception as error:
            self.failures += 1
            self.last_error = f"journal {orphan.name}: {error!r}"
            log.exception(
                "the journal of an ended process cannot be shipped; passing it over", journal=str(orphan.folder)
            )
            self._passed_over.add(orphan.name)
            self._orphans.remove(orphan)
            orphan.close()
            return False

    def _announce(self, records: list[Record], positions: list[str]) -> None:
        if positions:
            self.stored_to = positions[-1]
        with self._receipts:
            if positions:
                first, last = records[0].seq, records[-1].seq
                contiguous = last - first == len(records) - 1
                seqs = range(first, last + 1) if contiguous else [record.seq for record in records]
                self._positions.append((seqs, positions))
            if self._waiters:
                known = positions or [""] * len(records)
                for record, position in zip(records, known, strict=True):
                    for future in self._waiters.pop(record.seq, ()):
                        future.set_result(position)
        self._on_stored()

    def _housekeeping(self) -> None:
        self._next_housekeeping = time.monotonic() + _HOUSEKEEPING
        if self._look():
            self._own.look_again()
        if self._own.recall():
            self._own.trim(self._safe)
        self._backend.tidy()
        for orphan in list(self._orphans):
            if self._guarded(orphan, self._finish_theirs):
                self._orphans.remove(orphan)
                self._next_housekeeping = 0.0  # there is room for another
        self._adopt_orphans()

    def _finish_theirs(self, orphan: Shipment) -> bool:
        if orphan.recall():
            orphan.trim(self._safe)
        return orphan.finish(self._safe, force=len(self._orphans) >= KEPT_SEGMENTS)

    def _adopt_orphans(self) -> None:
        """Take up journals of processes that ended, a bounded number at a time; of the rest as these are finished."""
        known = {self._own.name, *(orphan.name for orphan in self._orphans), *self._passed_over}
        for name in os.listdir(self._root):
            if len(self._orphans) >= ORPHANS:
                break
            if name not in known and is_journal_name(name):
                self._adopt(self._root / name)

    def _adopt(self, folder: Path) -> None:
        owner = owner_of(folder)
        if self.only_of and owner not in ("", self.only_of):
            self._passed_over.add(folder.name)
            log.warning(
                "a journal of another stream is passed over; give each stream a folder of its own, or delete the file "
                "`stream` in the journal where this stream has only moved",
                journal=str(folder),
                stream=owner,
            )
            return
        try:
            lock = lock_folder(folder)
        except OSError as error:  # a stray file, or a folder of somebody else: the journals beside it must not wait
            self._passed_over.add(folder.name)
            log.error("a journal cannot be taken up; passing it over", journal=str(folder), error=str(error))
            return
        if lock is not None:
            log.info("shipping the journal of a process that ended", journal=folder.name)
            self._orphans.append(Shipment(folder, self._backend, self.damage, lock=lock))

    def _safe(self) -> str | None:
        """The position up to which every group has acknowledged; None when there is no group to wait for."""
        groups = self._backend.groups()
        return min((group.safe for group in groups), key=position_key) if groups else None


def _parse(mark: str) -> tuple[int, int]:
    if not mark:
        return 0, 0
    following, _, critical = mark.partition(":")
    return int(following), int(critical)
