"""Verification: goes through the log, and finds the first entry that does not fit the checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError

from brain.audit.checkpoint import Checkpoint
from brain.audit.diagnosis import diagnose, sealed
from brain.audit.handover import Keychain
from brain.audit.merkle import Frontier, root_at
from brain.audit.note import BadNote, Signer, Verifier
from brain.audit.repository import read_keychain
from brain.audit.seal import Sealing
from brain.audit.stored_bytes import whole
from brain.audit.tables import checkpoints, entries, nodes
from brain.audit.tree import STEP, StoredTree, Tampered, stored_nodes
from brain.errors import Unavailable
from brain.kit.database import reading

PAGE = 5000
Progress = Callable[[int, int], None]
"""Called with the number of entries done, and the number of all."""

_COLUMNS = (
    entries.c.idx,
    entries.c.payload,
    entries.c.leaf_hash,
    entries.c.seal,
    entries.c.deletion,
    entries.c.appended_at,
    entries.c.at,
    entries.c.type,
    entries.c.event_id,
    entries.c.agent,
    entries.c.threat,
    entries.c.correlation_id,
)


@dataclass(frozen=True)
class AuditReport:
    """What verification found."""

    ok: Annotated[bool, Meta(description="Whether every entry is what it was when it was logged.")]
    origin: Annotated[str, Meta(description="The log's name.")]
    size: Annotated[int, Meta(description="How many entries there are.")]
    root: Annotated[
        str | None,
        Meta(description="The root over them, in hexadecimal; null when not all could be gone through."),
    ]
    verified_from: Annotated[int, Meta(description="The first entry looked at: 0, or the given checkpoint's size.")]
    checkpoints: Annotated[int, Meta(description="How many signed checkpoints were compared.")]
    deleted: Annotated[
        int, Meta(description="How many of these entries have had their bytes deleted by retention or an erasure.")
    ]
    sealed: Annotated[bool, Meta(description="Whether the seals were checked too, which need the log's private key.")]
    first_bad_index: Annotated[
        int | None, Meta(description="From which entry on something is wrong; null when nothing is.")
    ]
    problem: Annotated[str | None, Meta(description="What is wrong there.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


@dataclass(frozen=True, order=True)
class LogFault:
    """Something wrong, from the entry `index` on."""

    index: int
    text: str


class _FaultFound(Exception):
    def __init__(self, index: int, text: str) -> None:
        self.fault = LogFault(index, text)


def verify(
    database: Engine,
    key: Signer | Verifier,
    kept: bytes | None = None,
    progress: Progress | None = None,
    local: bytes | None = None,
) -> AuditReport:
    """Verify the log as far as it goes now; entries that are appended meanwhile are not looked at.

    With the log's own Signer the seals are checked too, which name the exact place of any change. With the public key
    alone, a swapped or inserted entry may only be traced to the checkpoint that it makes wrong.

    `kept` is a checkpoint that a third party kept. The log must continue it, and only the entries after it are gone
    through; all of them, if the log does not continue it, to name the place. `local` is the last checkpoint that this
    machine signed. The log must continue it too; one of another log is ignored.

    Raises BadNote when `kept` is not signed by the key or a hand-over was altered, Unavailable when the database does
    not answer.
    """
    try:
        with reading(database).connect() as connection:
            chain = _keychain(connection, key.verifier if isinstance(key, Signer) else key)
            connection.rollback()
            trusted = chain.open(kept) if kept is not None else None
            if connection.dialect.name == "postgresql":  # as SQLite does anyway: one state for a whole transaction
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            walk = _Walk(connection, key, chain, progress or _silent)
            return walk.run(trusted, local)
    except DBAPIError as error:
        raise Unavailable(f"audit log: the database does not answer: {error.orig}") from error


def _keychain(connection: Connection, trusted: Verifier) -> Keychain:
    """The keys that the trusted one vouches for: those that it followed, as it signed that itself, and its heirs."""
    try:
        chain = read_keychain(connection)
    except Tampered as error:
        raise BadNote(str(error)) from error
    if chain is not None and trusted in (chain.first, *(handover.new for handover in chain.handovers)):
        return chain
    return Keychain(trusted)


class _Walk:
    def __init__(self, connection: Connection, key: Signer | Verifier, chain: Keychain, progress: Progress) -> None:
        self._started = perf_counter()
        self._connection = connection
        self._chain = chain
        self._sealing = Sealing(key.seal_secret()) if isinstance(key, Signer) else None
        self._progress = progress
        self._size = 0
        self._deleted = 0
        self._faults: list[LogFault] = []

    def run(self, trusted: Checkpoint | None, local: bytes | None) -> AuditReport:
        """Verify; `trusted` is the checkpoint to begin from, `local` the note that this machine keeps."""
        # These three are of one moment, though the log may be growing; a longer transaction would hold up others.
        size, signed_to = self._ends()
        self._size = size
        signed = self._checkpoints()
        self._nodes = self._stored_nodes()
        self._connection.rollback()
        for elsewhere in filter(None, (self._of_this_log(local), trusted)):
            if elsewhere.size > size:
                self._faults.append(LogFault(size, _cut_off(size, elsewhere.size)))
            signed.setdefault(elsewhere.size, set()).add(elsewhere.root)
        start, frontier, seal = self._start(trusted, size, signed)
        root = None
        try:
            self._go(start, size, frontier, seal, signed)
            root = frontier.root().hex()
            if start == 0 and len(self._nodes) != stored_nodes(size):
                self._faults.append(LogFault(size, "hashes of subtrees are stored that no entries lead to"))
        except _FaultFound as found:
            self._faults.append(found.fault)
        self._connection.rollback()
        if size != signed_to:
            self._faults.append(_ends_problem(size, signed_to))
        first = min(self._faults, default=None)
        return AuditReport(
            ok=first is None,
            origin=self._chain.name,
            size=size,
            root=root,
            verified_from=start,
            checkpoints=sum(1 for at in signed if start < at <= size),
            deleted=self._deleted,
            sealed=self._sealing is not None,
            first_bad_index=first.index if first else None,
            problem=first.text if first else None,
            seconds=perf_counter() - self._started,
        )

    def _of_this_log(self, note: bytes | None) -> Checkpoint | None:
        try:
            return self._chain.open(note) if note is not None else None
        except BadNote:
            return None

    def _ends(self) -> tuple[int, int]:
        """How many entries there are, and how many are signed for."""
        row = self._connection.execute(
            select(
                select(func.max(entries.c.idx)).scalar_subquery(),
                select(func.max(checkpoints.c.size)).scalar_subquery(),
            )
        ).one()
        return (-1 if row[0] is None else row[0]) + 1, row[1] or 0

    def _checkpoints(self) -> dict[int, set[bytes]]:
        """The roots of the good ones by size; the others are noted as faults."""
        good: dict[int, set[bytes]] = {}
        for size, note in self._connection.execute(select(checkpoints.c.size, checkpoints.c.note)):
            try:
                found = self._chain.open(note)
                if found.size != size:
                    raise BadNote(f"checkpoint: is of {found.size} entries")
                good[size] = {found.root}
            except (BadNote, TypeError, AttributeError) as error:
                self._faults.append(
                    LogFault(max(0, size - 1), f"the checkpoint of {size} entries was altered: {error}")
                )
        return good

    def _stored_nodes(self) -> dict[tuple[int, int], bytes]:
        rows = self._connection.execute(select(nodes.c.level, nodes.c.idx, nodes.c.hash)).all()
        return {(level, index): value for level, index, value in rows}

    def _start(
        self, trusted: Checkpoint | None, size: int, signed: dict[int, set[bytes]]
    ) -> tuple[int, Frontier, bytes]:
        """Where to begin: after the kept checkpoint, when the stored hashes lead to all roots signed until then."""
        first = self._sealing.first if self._sealing else b""
        if trusted is None or not 0 < trusted.size <= size:
            return 0, Frontier(), first
        tree = StoredTree(self._connection)
        try:
            good = all(roots == {root_at(at, tree.node)} for at, roots in signed.items() if 0 < at <= trusted.size)
            frontier = tree.frontier(trusted.size)
        except Tampered:
            return 0, Frontier(), first
        seal = self._connection.scalar(select(entries.c.seal).where(entries.c.idx == trusted.size - 1))
        if not good or not isinstance(seal, bytes):
            return 0, Frontier(), first
        return trusted.size, frontier, seal

    def _go(self, start: int, size: int, frontier: Frontier, seal: bytes, signed: dict[int, set[bytes]]) -> None:
        append, stored, sealing = frontier.append, self._nodes, self._sealing
        vouched = start  # a good checkpoint covers the entries before this one
        index = start
        for page in self._pages(start, size):
            for row in page:
                if row[0] != index:
                    raise _FaultFound(index, f"entry {index} is missing")
                leaf = row[2]
                try:
                    self._check_row(row, seal)
                except TypeError as error:
                    raise _FaultFound(index, f"entry {index}: holds a value of another kind: {error}") from error
                seal = row[3]
                subtrees = append(leaf)
                index += 1
                for level in range(STEP, len(subtrees), STEP):
                    number = (index - 1) >> level
                    if stored.get((level, number)) != subtrees[level]:
                        begin = max(number << level, vouched if sealing is None else 0)
                        raise _FaultFound(begin, _subtree_problem(number << level, index, (level, number) in stored))
                roots = signed.get(index)
                if roots is not None:
                    if roots != {frontier.root()}:
                        raise _FaultFound(
                            vouched, f"the entries {vouched} to {index - 1} are not those that were signed"
                        )
                    vouched = index
            self._progress(index - start, size - start)
        if index != size:
            raise _FaultFound(index, f"entry {index} is missing")

    def _check_row(self, row: Sequence[Any], previous: bytes) -> None:
        index, payload, leaf, seal, deletion, *fields = row
        sealing = self._sealing
        fits = sealing is None or seal == sealing.next(previous, leaf, fields)
        erased = sealing is not None and deletion is not None and payload is None
        if sealing is not None and erased and deletion == sealing.erasure(previous, seal, leaf, fields):
            self._deleted += 1  # its seal covers fields that are gone
            return
        if payload is not None:
            data: bytes = whole(payload, row[8], row[7])
            if sha256(b"\x00" + data).digest() != leaf:
                what = "the payload was altered" if fits else "the hash was altered"
                if data is not payload and not fits:
                    what += ", or the event id or type that its bytes begin with"
                raise _FaultFound(index, f"entry {index}: {what}: they do not fit each other")
            if deletion is not None:
                raise _FaultFound(index, f"entry {index}: is marked as deleted and has a payload")
        elif deletion is None or (sealing is not None and deletion != sealing.deletion(seal)):
            missing = "the payload is missing, and no retention or erasure that deleted it is noted"
            raise _FaultFound(index, f"entry {index}: {missing}")
        else:
            self._deleted += 1
        if not fits and sealing is not None:
            following = (sealed(other) for page in self._pages(index + 1, self._size) for other in page)
            raise _FaultFound(index, diagnose(sealed(row), previous, following, sealing))

    def _pages(self, start: int, size: int) -> Iterator[Sequence[Sequence[Any]]]:
        after = start - 1
        while True:
            query = select(*_COLUMNS).where(entries.c.idx > after, entries.c.idx < size)
            query = query.order_by(entries.c.idx).limit(PAGE)
            page: Sequence[Sequence[Any]]
            try:
                page = self._connection.execute(query).all()
            except (DBAPIError, TypeError, ValueError) as error:
                if _outage(error):
                    raise
                page = self._readable(after, min(after + PAGE, size - 1))
            self._connection.rollback()
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def _readable(self, after: int, last: int) -> Sequence[Sequence[Any]]:
        """The rows of a page that cannot be read whole, up to the first that cannot be read."""
        self._connection.rollback()
        rows: list[Sequence[Any]] = []
        for index in range(after + 1, last + 1):
            try:
                rows += self._connection.execute(select(*_COLUMNS).where(entries.c.idx == index)).all()
            except (DBAPIError, TypeError, ValueError) as error:
                if _outage(error):
                    raise
                if not rows:
                    raise _FaultFound(index, f"entry {index}: cannot be read: {error}") from error
                return rows
        return rows


def _outage(error: Exception) -> bool:
    """Whether the database does not answer, rather than hold a value that cannot be read."""
    return isinstance(error, DBAPIError) and not any(sign in str(error.orig) for sign in ("UTF-8", "malformed"))


def _subtree_problem(first: int, end: int, there: bool) -> str:
    what = "is not the one of these entries" if there else "is missing"
    return f"the stored hash over the entries {first} to {end - 1} {what}"


def _ends_problem(size: int, signed_to: int) -> LogFault:
    if size < signed_to:
        return LogFault(size, f"entry {size} is missing: a checkpoint was signed for {signed_to} entries")
    return LogFault(
        signed_to, f"no checkpoint covers the entries from {signed_to} on: they were inserted, or it was removed"
    )


def _cut_off(size: int, elsewhere: int) -> str:
    return f"entry {size} is missing: a checkpoint outside the database has {elsewhere} entries"


def _silent(done: int, total: int) -> None:
    """No progress is shown."""
