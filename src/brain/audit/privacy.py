"""Erasure by subject: stream, state, consumers' tables and audit log, and the certificate of it.

It goes over everything until a pass finds nothing, since consumers write meanwhile what they had read before. Each
step may be repeated: an erasure that was killed is run again, and goes on with the same certificate.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Engine, insert, select, update

from brain.audit.certificate import Certificate, Remains, sign
from brain.audit.erasing import ErasedEntries, erase_in_log, holds_naming
from brain.audit.open import open_projector
from brain.audit.repository import newest_checkpoint
from brain.audit.settings import AuditSettings
from brain.audit.tables import erasures
from brain.errors import InvalidInput, NotFound, Unavailable
from brain.kit.database import reachable, reading
from brain.kit.erased_tables import Erased, erase_in_store, erase_in_tables
from brain.kit.erasure import Eraser
from brain.store import open_store
from brain.store.sqlite import SQLiteStore, sqlite_file
from brain.store.sqlite_faults import explained
from brain.stream.backends import open_backend
from brain.stream.backends.sqlite import SQLiteBackend
from brain.stream.dead_letters import DeadLetter
from brain.typed import ready

if TYPE_CHECKING:
    from brain.settings import Settings

PASSES = 8
"""Most times that everything is gone over."""
_PAGE = 1000
_SETTLING = 10.0  # seconds that consumers are given, between two passes, to write what they had read
_BUSY = 30.0  # seconds


@dataclass(frozen=True)
class Request:
    """Whose traces are to go, why, and who says so."""

    eraser: Eraser
    reason: str
    by: str
    dry: bool = False


def check_possible(settings: Settings) -> None:
    """Raises InvalidInput where the stream or the state is not in an SQLite file."""
    for name, url in (("stream", settings.stream), ("store", settings.store_url)):
        if not url.startswith("sqlite:"):
            raise InvalidInput(
                f"{name}: an erasure by subject changes entries in place, which SQLite files alone allow; those of "
                "a stream on Redis cannot be changed: shorten retention_days until what names the subject is deleted, "
                "then remove it from the audit log with brain audit redact EVENT"
            )


def erase(settings: Settings, database: Engine, request: Request) -> tuple[Certificate, bytes]:
    """Erase the subject everywhere; the certificate, and the signed note of it. Blocks, and may take minutes.

    With `dry` nothing is changed, and the certificate, which is not kept, says what would be. Raises InvalidInput for a
    stream or state on Redis, Unavailable when something does not answer, and Tampered for an altered log.
    """
    check_possible(settings)
    with (
        reachable(database),
        closing(open_backend(settings.stream)) as backend,
        closing(open_store(settings.store_url)) as store,
    ):
        assert isinstance(backend, SQLiteBackend)
        assert isinstance(store, SQLiteStore)
        return _Erasure(settings, database, backend, store, request).run()


def certificates(database: Engine) -> list[bytes]:
    """The notes of all complete erasures, the oldest first."""
    query = select(erasures.c.note).where(erasures.c.note.is_not(None)).order_by(erasures.c.began_at)
    with reading(database).connect() as connection:
        return [bytes(note) for note in connection.execute(query).scalars()]


def certificate_of(database: Engine, erasure_id: str) -> bytes:
    """The note of this erasure. Raises NotFound."""
    with reading(database).connect() as connection:
        note = connection.scalar(select(erasures.c.note).where(erasures.c.id == erasure_id))
    if note is None:
        raise NotFound(f"certificate {erasure_id!r}: there is none; `brain privacy certificates` shows those that are")
    return bytes(note)


class _Erasure:
    def __init__(
        self, settings: Settings, database: Engine, backend: SQLiteBackend, store: SQLiteStore, request: Request
    ) -> None:
        self._settings, self._database, self._backend, self._store = settings, database, backend, store
        self._request, self._eraser = request, request.eraser
        self._projector = open_projector(database, settings.table(AuditSettings))
        self._id, self._began, self._counts = self._begin()
        self._indexed = False

    def run(self) -> tuple[Certificate, bytes]:
        """Go over everything until nothing is found; then overwrite what is free in the files."""
        before = self._checkpoint()
        for number in range(1, PASSES + 1):
            found, log = self._pass()
            if self._request.dry:
                break
            if not found and number > 1:
                break
            self._settle()
        remains = [*self._remains(log), *([] if not found or self._request.dry else [_STILL_WRITING])]
        if not self._request.dry:
            remains += list(self._vacuum())
        remains += self._journals()
        certificate = Certificate(
            id=self._id,
            subject=self._eraser.mark,
            reason=self._eraser.text(self._request.reason),
            by=self._eraser.text(self._request.by),
            began=self._began,
            ended=time.time(),
            counts=dict(self._counts),
            remains=[*remains, *_ELSEWHERE],
            log_before=before,
            log_after=self._checkpoint(),
        )
        note = sign(certificate, self._projector.signer)
        if not self._request.dry:
            self._keep(note)
        return certificate, note

    def _begin(self) -> tuple[str, float, Counter[str]]:
        """A new erasure, or that of this subject which did not come to its end."""
        mark, now = self._eraser.mark, time.time()
        open_ones = select(erasures).where(erasures.c.subject == mark, erasures.c.note.is_(None))
        with self._database.begin() as connection:
            row = connection.execute(open_ones.order_by(erasures.c.began_at)).first()
            if row is not None:
                return row.id, row.began_at, Counter(msgspec.json.decode(row.counts, type=ready(dict[str, int])))
            made = f"erasure_{secrets.token_hex(6)}"
            if not self._request.dry:
                new = {"id": made, "subject": mark, "began_at": now, "counts": "{}", "note": None}
                connection.execute(insert(erasures), new)
        return made, now, Counter()

    def _keep(self, note: bytes | None = None) -> None:
        counts = msgspec.json.encode(dict(self._counts)).decode()
        with self._database.begin() as connection:
            row = update(erasures).where(erasures.c.id == self._id)
            connection.execute(row.values(counts=counts, note=note))

    def _pass(self) -> tuple[int, ErasedEntries]:
        """Go over everything once: how much was changed. The stream first, so that nobody reads it again."""
        self._eraser.mentions = self._eraser.unread = 0
        self._found = Erased()
        dry, before = self._request.dry, self._counts.total()
        self._count("stream: events", self._erase_in_stream())
        self._count("stream: dead letters", self._backend.rewrite_letters(self._letter, dry=dry))
        erase_in_store(self._store, self._eraser, self._found, dry=dry)
        for name, number in self._found.counts.items():
            self._count(f"state: {name}", number)
        self._found.counts.clear()
        erase_in_tables(self._database, self._eraser, self._found, dry=dry)
        for name, number in self._found.counts.items():
            self._count(f"tables: {name}", number)
        log = erase_in_log(self._database, self._projector.sealing, self._eraser, dry=dry)
        self._count("audit log: payloads", log.payloads)
        self._count("audit log: search fields", log.fields)
        return self._counts.total() - before, log

    def _count(self, place: str, number: int) -> None:
        if number:
            self._counts[place] += number
            if not self._request.dry:
                self._keep()

    def _erase_in_stream(self) -> int:
        after = changed = 0
        while True:
            reached, some = self._backend.rewrite(after, _PAGE, self._eraser.event, dry=self._request.dry)
            changed += some
            if not reached:
                break
            after = reached
        if changed and not self._request.dry:
            self._backend.drop_index_blocks(None)  # it has correlation ids as they were; whoever serves makes it again
        return changed

    def _letter(self, letter: DeadLetter) -> DeadLetter:
        return msgspec.structs.replace(
            letter,
            data=self._eraser.event(letter.data),
            error=self._eraser.text(letter.error),
            history=tuple(map(self._eraser.text, letter.history)),
        )

    def _settle(self) -> None:
        """Wait until the consumers have written what they had read, or stand still: a short while at most."""
        deadline, known = time.monotonic() + _SETTLING, None
        while time.monotonic() < deadline:
            groups = self._backend.groups()
            standing = [(group.name, group.safe) for group in groups]
            if standing == known or not any(group.lag or group.pending for group in groups):
                return
            known = standing
            self._backend.wait(self._backend.tail(), 1.0)

    def _remains(self, log: ErasedEntries) -> Iterator[Remains]:
        if log.held:
            numbers, by = ", ".join(map(str, log.held)), ", ".join(sorted(log.held_by))
            yield Remains(
                f"audit log: entries {numbers}", f"legal holds keep them: {by}", "they are lifted; then again"
            )
        if named := holds_naming(self._database, self._eraser):
            yield Remains("audit log: holds", f"they decide: {', '.join(named)}", "they are removed by hand")
        for place, names in self._found.deciding.items():
            yield Remains(place, f"it decides: {', '.join(names)}", "it is changed by hand; then again")
        if self._eraser.mentions:
            yield Remains("longer texts", f"{self._eraser.mentions} name the subject", "again without --whole-values")
        if self._eraser.unread:
            yield Remains("tables", f"{self._eraser.unread} values of an unknown form", "they are deleted by hand")

    def _journals(self) -> list[Remains]:
        """Journals of running processes still have what they wrote last."""
        folder = Path(f"{sqlite_file(self._settings.stream)}.journal")
        count = 0
        for path in folder.glob("*/*.seg"):
            try:
                count += self._eraser.is_in(path.read_bytes())
            except FileNotFoundError:  # its process is done with it
                continue
        if not count:
            return []
        why = f"{count} files of running processes, or not yet stored"
        return [Remains("journals", why, "those processes are restarted; then again")]

    def _vacuum(self) -> Iterator[Remains]:
        """Rewrite the files, so that nothing is left in free pages and the write-ahead log."""
        paths = {sqlite_file(self._settings.stream), sqlite_file(self._settings.store_url)}
        if self._database.dialect.name == "sqlite" and self._database.url.database:
            paths.add(Path(self._database.url.database))
        else:
            yield Remains(
                "PostgreSQL", "former versions of rows, and its own log", "VACUUM FULL, and its log is recycled"
            )
        for path in sorted(paths):
            try:
                with closing(sqlite3.connect(path, timeout=_BUSY, isolation_level=None)) as db:
                    db.execute("VACUUM")
                    (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise Unavailable(f"erasure: {explained(path, error)}; then run it again") from error
            if busy:
                yield Remains(f"{path.name}-wal", "others read it all the time", "they are restarted; then again")

    def _checkpoint(self) -> str:
        with reading(self._database).connect() as connection:
            return (newest_checkpoint(connection) or b"").decode()


_STILL_WRITING = Remains(
    "state and tables", "processes went on writing it from their memory", "they are restarted; then again"
)
_ELSEWHERE = [
    Remains("backups and replicas", "they are copies made before", "you delete them, or erase in them after a restore"),
    Remains("memory of running processes", "they keep what they read last", "they are restarted"),
    Remains(
        "what was sent", "tickets, messages, webhooks, exports, logs and files of recordings", "you delete it there"
    ),
    Remains("outboxes in your own databases", "they are yours", "their events are shipped and pruned"),
]
