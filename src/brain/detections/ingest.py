"""Logs through the detections: records in batches, each one transaction with the place in the log.

A record counts once, whatever is killed, however often a log is read, and in whichever file it comes again: by its own
id, or where a kind has none by its content and by how often that came before in the same log.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from brain.detections.access_log import parse_access_line
from brain.detections.loading import Loaded
from brain.detections.models import LogKind
from brain.detections.projector import DetectionProjector
from brain.detections.ruleset import Record
from brain.detections.sources import JSON_READERS, SSHD, WEB, LogRecord
from brain.detections.sshd_records import SshdRecords
from brain.detections.tables import logs, make_tables
from brain.errors import InvalidInput
from brain.kit import positions
from brain.kit.applied_ids import AppliedIds
from brain.kit.database import create_tables, reachable
from brain.kit.log_files import Line, LogPlace, identity_of, lines_from, open_log, place_after, start_of
from brain.kit.sql import upsert
from brain.stream.decoded import digest_of
from brain.typed import ready

GROUP = "brain.detections.logs"
"""The name under which ids of records are remembered."""
REMEMBERED = 500_000
BATCH = 1_000
LARGEST = 256 << 20
"""Bytes of one JSON document at most; logs of one object a line have no such bound."""
_LINES = ("access-log", "sshd")  # kinds that are no JSON
_EXAMPLES = 5
_REPEATS = 100_000  # contents of which it is known how often they came
_LATELY = 200  # those that are kept with the place


class LogSummary(msgspec.Struct):
    """What was read: lines or records, those that counted, those that are no record, and examples of them."""

    read: int = 0
    counted: int = 0
    repeated: int = 0
    unreadable: int = 0
    passed_over: int = 0
    """Lines of other programs, and those of sshd that say nothing of an attempt."""
    examples: list[tuple[int, str]] = []


class _Read(NamedTuple):
    """A record with the place after it."""

    record: LogRecord | None
    text: bytes
    place: LogPlace


class LogIngest:
    """Reads one log. `kind` is a name of `brain.detections.sources.KINDS`, `extra` the operator's own logsource."""

    def __init__(self, database: sa.Engine, loaded: Loaded, kind: str, extra: LogKind) -> None:
        self.summary: LogSummary = LogSummary(examples=[])
        self._database = database
        self._projector = DetectionProjector(loaded, time.time)
        self._kind = kind
        self._extra = extra
        self._sshd = SshdRecords()
        self._changed_at = time.time()
        self._repeats: OrderedDict[str, int] = OrderedDict()
        self._identity = ""
        self._ids = AppliedIds(GROUP, REMEMBERED)
        make_tables(database)
        create_tables(database, positions.METADATA)
        with database.begin() as db:
            positions.begin(db, GROUP)

    def read(self, path: Path, *, partial: bool = True, progress: Callable[[int], None] = lambda _: None) -> None:
        """Take what the log has after the place that is known. Blocks. Raises InvalidInput and Unavailable."""
        identity = identity_of(path, self._kind)
        place = self._known(identity)
        if identity != self._identity:
            self._identity, self._repeats = identity, OrderedDict()
        if str(path) != "-" and path.exists():
            self._changed_at = path.stat().st_mtime
        batch: list[_Read] = []
        try:
            with open_log(path) as log:
                start = start_of(log, place)
                if start and not self._repeats:
                    self._repeats.update(place.repeats)
                for one in self._records(log, place if start else LogPlace(), start, partial):
                    batch.append(one)
                    if len(batch) >= BATCH:
                        self._apply(identity, path, batch)
                        progress(batch[-1].place.offset)
                        batch = []
        except (EOFError, OSError) as error:
            self._apply(identity, path, batch)
            raise InvalidInput(f"{path}: cannot be read to its end: {error}") from error
        self._apply(identity, path, batch)

    def _known(self, identity: str) -> LogPlace:
        with reachable(self._database), self._database.begin() as db:
            stored = db.execute(sa.select(logs.c.place).where(logs.c.identity == identity)).scalar()
        return LogPlace() if stored is None else msgspec.convert(stored, ready(LogPlace))

    def _records(self, log: Any, place: LogPlace, start: int, partial: bool) -> Iterator[_Read]:
        number = place.lines
        mark = place.before
        for line in lines_from(log, start, partial=partial):
            number += 1
            after = place_after(mark, line, number)
            mark = after.before
            text = line.text.strip()
            if not text:
                continue
            if self._kind in _LINES:
                yield from self._line(text, after)
                continue
            found = _documents(text)
            if found is None and number == 1 and text[:1] in b"[{":
                yield from self._whole(line, log)
                return
            if found is None:
                yield _Read(None, text, after)
            else:
                yield from (_Read(self._json(one), text, after) for one in found)

    def _whole(self, first: Line, log: Any) -> Iterator[_Read]:
        """One document over many lines, or several."""
        rest = log.read(LARGEST)
        if len(rest) == LARGEST:
            raise InvalidInput(f"is one document of more than {LARGEST} bytes; write one object a line")
        data = first.text + rest
        place = LogPlace(len(data), data[-512:], data.count(b"\n"))
        for document in _several(data):
            found = _members(document)
            for one in found:
                yield _Read(self._json(one), msgspec.json.encode(one), place)

    def _json(self, data: Any) -> LogRecord | None:
        record = JSON_READERS[self._kind](data) if isinstance(data, dict) else None
        if record is None or self._extra == LogKind():
            return record
        mine, own = self._extra, record.kind
        kind = LogKind(own.category + mine.category, own.product + mine.product, own.service + mine.service)
        return record._replace(kind=kind)

    def _line(self, text: bytes, after: LogPlace) -> Iterator[_Read]:
        """The records of a line that is no JSON; of one that is passed over, none, and its place."""
        if self._kind == "access-log":
            yield _Read(self._web(text), text, after)
            return
        found = self._sshd.records(text.decode("utf-8", "replace"), self._changed_at)
        if found is None:
            yield _Read(None, text, after)
            return
        name = hashlib.sha256(text).hexdigest()[:32]
        for number, (at, fields) in enumerate(found):
            yield _Read(LogRecord(fields, at, f"{name}/{number}", SSHD), text + b"/%d" % number, after)
        if not found:
            yield _Read(None, b"", after)

    def _web(self, text: bytes) -> LogRecord | None:
        found = parse_access_line(text.decode("utf-8", "replace"))
        if found is None:
            return None
        return LogRecord(found[1], found[0], hashlib.sha256(text).hexdigest()[:32], WEB)

    def _apply(self, identity: str, path: Path, batch: Sequence[_Read]) -> None:
        if not batch:
            return
        found = []
        summary = self.summary
        for one in batch:
            summary.read += 1
            if not one.text:
                summary.passed_over += 1
            elif one.record is None:
                summary.unreadable += 1
                if len(summary.examples) < _EXAMPLES:
                    summary.examples.append((one.place.lines, one.text[:200].decode("utf-8", "replace")))
            else:
                found.append(self._record(one))
        with reachable(self._database), self._database.begin() as db:
            standing = positions.lock(db, GROUP)
            fresh = self._ids.fresh(db, standing.applied, [digest_of(one.id) for one in found])
            wanted = _first_of_each(found, fresh)
            self._projector.feed(db, wanted)
            applied = standing.applied + len(wanted)
            last_id = wanted[-1].id if wanted else ""
            committed = self._ids.store(db, standing.applied, applied, [digest_of(one.id) for one in wanted], last_id)
            positions.move(db, GROUP, standing._replace(applied=applied))
            lately = dict([*self._repeats.items()][-_LATELY:])
            place = msgspec.to_builtins(msgspec.structs.replace(batch[-1].place, repeats=lately))
            row = {"identity": identity, "kind": self._kind, "path": str(path), "place": place, "read_at": time.time()}
            upsert(db, logs, [row])
        committed()
        summary.counted += len(wanted)
        summary.repeated += len(found) - len(wanted)

    def _record(self, one: _Read) -> Record:
        record = one.record
        assert record is not None
        id = record.id
        if self._kind in ("access-log", "sshd", "json", "falco", "windows"):  # the same text may be another event
            content = hashlib.sha256(one.text).hexdigest()[:24]
            repeats = self._repeats[content] = self._repeats.pop(content, 0) + 1
            if len(self._repeats) > _REPEATS:
                self._repeats.popitem(last=False)
            id = f"{id}#{repeats}"
        return Record(record.data, record.kind, time.time() if record.time is None else record.time, id[:200])


def _first_of_each(found: Sequence[Record], fresh: Set[bytes]) -> list[Record]:
    wanted: dict[str, Record] = {}
    for one in found:
        if digest_of(one.id) in fresh:
            wanted.setdefault(one.id, one)
    return list(wanted.values())


def _documents(text: bytes) -> list[Any] | None:
    """The records of a line of JSON; None when it is none."""
    try:
        return _members(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _members(document: Any) -> list[Any]:
    """A document's records: those of a list, of CloudTrail's `Records`, of an EventList's `items`, or itself."""
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        for name in ("Records", "items"):
            inner = document.get(name)
            if isinstance(inner, list) and all(isinstance(one, dict) for one in inner):
                return inner
    return [document]


def _several(data: bytes) -> Iterator[Any]:
    """The JSON documents that stand one after the other. Raises InvalidInput."""
    import json

    text = data.decode("utf-8", "replace")
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace() or text[at] == ",":
            at += 1
            continue
        try:
            begins, (_, at) = at, decoder.raw_decode(text, at)
            document = msgspec.json.decode(text[begins:at])  # which takes no lone surrogates: these cannot be stored
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"is no JSON: {error}") from error
        yield document
