"""The local append-only journal that `publish()` writes to before it returns.

A journal is a folder of segments owned by one process, which holds a lock on it. A segment is a preallocated,
memory-mapped file of records; a record is a 16-byte header (length, CRC-32 of header and data, sequence number with the
priority bit) and the encoded event. Writing through the map is a copy into the page cache: it survives the death of the
process without a system call, and without giving up the interpreter lock. See docs/decisions/0002-journal.md.

Damage costs the damaged records and no more: the reader goes on at the next valid record, and a gap in the numbers says
how many are lost (`damage.py` keeps count).
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import struct
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from zlib import crc32

import msgspec

from brain.errors import BrainError
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.platform import force_out, lock_file, read_at, reserve, write_at
from brain.stream.damage import DamageLog
from brain.stream.journal_bounds import note_newest, noted_bounds
from brain.stream.journal_owner import note_owner
from brain.stream.owned_file import OwnedFile

FIRST_SEGMENT, SEGMENT_SIZE = 64 << 10, 8 << 20
"""Bytes of a journal's first segment and of the largest: a short process takes little room. Each next one is larger."""
_GROWTH = 4
_HEADER = struct.Struct("<IIQ")
_pack = _HEADER.pack
_CRITICAL = 1 << 63
_CHUNK = 1 << 20
_JOURNAL = re.compile(r"[0-9a-f]{16}").fullmatch
_SEGMENT = re.compile(r"\d{16}\.seg").fullmatch

_PATIENCE = 1.0
"""Seconds that the end of a journal waits for a segment that is being made; in a forked child nobody makes it."""

log: Log = Log("brain.journal")


class JournalFull(BrainError):
    """The disk, a quota or a file size limit leaves no room for another segment."""

    status = 507
    title = "Journal full"


class Record(msgspec.Struct, frozen=True, gc=False):
    """One journalled event: its number within the journal, whether its type is CRITICAL, and its bytes."""

    seq: int
    critical: bool
    data: bytes


class Journal:
    """The writing side. Not thread-safe: the caller serialises `append`."""

    def __init__(
        self,
        folder: Path,
        segment_size: int = SEGMENT_SIZE,
        *,
        power: bool = False,
        first: int = FIRST_SEGMENT,
        owner: str = "",
    ) -> None:
        self.folder = folder
        self._owner = owner  # the stream that the events are for
        self._power = power  # a segment is forced out before the next one is begun
        self.last_critical: int = -1  # the number of the last CRITICAL record appended, -1 for none
        # The segment being written (its first sequence number), how many of its bytes hold whole records, and the
        # number of the next record. One value, replaced as a whole: a reader in another thread never sees half of a
        # change, and an exception that a signal handler raises in the middle of `append` leaves none behind.
        self.tail: tuple[int, int, int] = (-1, 0, 0)
        self._size = 0  # of the segment being written
        self._next_size = min(first, segment_size)
        self._largest = segment_size
        self._map: mmap.mmap | None = None
        self._file: OwnedFile | None = None  # what is mapped; another thread may be forcing it out
        self._spare: tuple[Path, int] | None = None  # the segment made ahead, and its size
        self._spares = 0
        self._preparing = InterruptibleLock()
        self.when_begun: Callable[[], None] = _do_nothing
        """Called when another segment than the first is begun, by `append`."""
        self._made_again = False  # since the last `look`: readers hold files that are gone
        self._lock: OwnedFile | None = _make(folder, owner)

    @property
    def next_seq(self) -> int:
        """The number of the record that is appended next."""
        return self.tail[2]

    def append(self, data: bytes, critical: bool) -> int:
        """Write one record and return its sequence number. Raises JournalFull when no segment can be had."""
        length = len(data)
        first, start, seq = self.tail
        end = start + 16 + length
        if self._map is None or end > self._size:
            self._rotate(16 + length)
            first, start, end = seq, 0, 16 + length
        number = seq
        if critical:
            number |= _CRITICAL
            self.last_critical = seq
        seed = length * 2_654_435_761 ^ number ^ number >> 32  # as `_seed`, without a call
        self._map[start:end] = _pack(length, crc32(data, seed), number) + data  # type: ignore[index]
        self.tail = (first, end, seq + 1)
        return seq

    def append_many(self, records: Sequence[tuple[bytes, bool]]) -> None:
        """As `append`, of several, by one write in each segment that they come to."""
        done = 0
        while done < len(records):
            first, start, seq = self.tail
            parts, stop, size = list[bytes](), start, self._size if self._map is not None else 0
            for data, critical in islice(records, done, None):
                length = len(data)
                if stop + 16 + length > size:
                    break
                stop += 16 + length
                number = seq
                if critical:
                    number |= _CRITICAL
                    self.last_critical = seq
                seed = length * 2_654_435_761 ^ number ^ number >> 32  # as in `append`
                parts += _pack(length, crc32(data, seed), number), data
                seq += 1
            if parts:
                self._map[start:stop] = b"".join(parts)  # type: ignore[index]
                self.tail = (first, stop, seq)
                done += len(parts) // 2
            else:
                self.append(*records[done])  # it begins another segment
                done += 1

    def look(self) -> bool:
        """Mend what somebody did to the folder: whether readers have to seek again. Not beside an `append`.

        A segment that was cut short gets its length back, before an `append` beyond its end makes the system end this
        process (SIGBUS). A removed folder is made again, with the segment that is being written.
        """
        if self._lock is None:  # closed
            return False
        file = self._written()
        if file is not None and os.fstat(file.fileno()).st_size < self._size:
            log.error("a journal segment had been cut short; it has its length again", journal=self.folder.name)
            _reserve(file, self._size)
        if not self._is_there():
            self._make_again()
        made_again, self._made_again = self._made_again, False
        return made_again

    def _is_there(self) -> bool:
        file = self._written()
        return (file is None or _is_at(segment_path(self.folder, self.tail[0]), file)) and self._has_lock()

    def _written(self) -> OwnedFile | None:
        """The segment being written; None too where something has interrupted the beginning of one."""
        return self._file if self._map is not None else None

    def _has_lock(self) -> bool:
        """Whether the lock in the folder is the one that is held."""
        return self._lock is not None and _is_at(self.folder / "lock", self._lock)

    def _make_again(self) -> None:
        """Make the folder again, with what this process still has of it: the segment being written."""
        log.warning("the journal's folder had been removed; it was made again", journal=str(self.folder))
        self._made_again = True  # before anything is changed: an interruption may end this between any two steps
        if not self._has_lock():
            lock = lock_folder(self.folder) if self.folder.is_dir() else _make(self.folder, self._owner)
            self._lock = lock
        self._spare = None
        former = self._written()
        if former is not None:
            first, end, _ = self.tail
            file = _allocate(segment_path(self.folder, first), self._size)
            write_at(file.fileno(), read_at(former.fileno(), end, 0), 0)
            self._close_segment()
            self._open_segment(file, self._size)
            if self._lock is not None:
                note_newest(self._lock.fileno(), first)

    @property
    def file(self) -> OwnedFile | None:
        """The segment being written: it stays open for as long as the caller refers to it."""
        return self._file

    def prepare(self, *, now: bool = False) -> None:
        """Make the next segment ahead of time, so that `append` does not wait for it; called off the hot path.

        Not before half of this one is written, unless `now`. Of several threads one does it. Raises OSError.
        """
        if not self._preparing.acquire(blocking=False):
            return
        try:
            if self._spare is None and self._map is not None and (now or self.tail[1] > self._size // 2):
                self._make_spare()
        finally:
            self._preparing.release()

    def _make_spare(self) -> None:
        self._spares += 1  # a name of its own each: the one before may be on its way to become a segment
        spare = self.folder / f"spare{self._spares}"
        size = self._next_size
        try:
            _allocate(spare, size, cached=True).close()
        except (JournalFull, FileNotFoundError):
            return  # `append` will report it if it comes to that, and make a removed folder again
        self._spare = spare, size

    def _rotate(self, needed: int) -> None:
        """Begin a segment that has room for so many bytes."""
        if not self._is_there():
            self._make_again()
        seq = self.tail[2]
        path = segment_path(self.folder, seq)
        spare, self._spare = self._spare, None
        size = max(self._next_size, needed) if spare is None else spare[1]
        if spare is not None and size >= needed:
            os.rename(spare[0], path)
            file = OwnedFile(path, "r+")
        else:
            size = max(size, needed)
            file = _allocate(path, size)
            if spare is not None:
                spare[0].unlink(missing_ok=True)
        former = self._written()
        if former is not None and self._power:
            force_out(former.fileno())
        self._close_segment()
        if self._lock is not None:
            note_newest(self._lock.fileno(), seq)
        self._open_segment(file, size)
        self.tail = (seq, 0, seq)
        self._size = size  # last: an exception before it has the next `append` begin another segment
        self._next_size = min(self._largest, size * _GROWTH)
        if seq:
            self.when_begun()

    def _open_segment(self, file: OwnedFile, size: int) -> None:
        self._file = file
        self._map = mmap.mmap(file.fileno(), size)

    def _close_segment(self) -> None:
        held, self._map = self._map, None  # first: a closed map that is still known would refuse what is appended to it
        if held is not None:
            held.close()
        self._file = None

    def close(self) -> None:
        """Give up the folder; what is in it stays. In a forked child: leave it to the parent."""
        self._close_segment()
        if self._preparing.acquire(timeout=_PATIENCE):  # what is made ahead is there, or never will be
            self._preparing.release()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()


def _make(folder: Path, owner: str) -> OwnedFile | None:
    """A new journal's folder, locked: made under a name that nobody adopts, and given its own once it is locked."""
    new = folder.with_name(f".new-{folder.name}")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new.mkdir(mode=0o700, exist_ok=True)  # of this very process, where it was interrupted here
    note_owner(new, owner)
    lock = lock_folder(new)
    try:
        new.rename(folder)
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    return lock


def _is_at(path: Path, file: OwnedFile) -> bool:
    """Whether the open file is the one of this name."""
    try:
        return os.stat(path).st_ino == os.fstat(file.fileno()).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return False


def _seed(length: int, number: int) -> int:
    """What the checksum of the data starts with, so that it covers the header too; `crc32` takes the low 32 bits."""
    return length * 2_654_435_761 ^ number ^ number >> 32


def _is_whole(data: bytes, crc: int, length: int, number: int) -> bool:
    """Whether the checksum fits; that of the first version covered the data and the number alone."""
    return crc32(data, _seed(length, number)) == crc or crc32(data, number) == crc


def whole_length(data: bytes) -> int:
    """How many bytes at the beginning of a segment are whole records."""
    position = 0
    while position + 16 <= len(data):
        length, crc, number = _HEADER.unpack_from(data, position)
        stop = position + 16 + length
        if not length or stop > len(data) or not _is_whole(data[position + 16 : stop], crc, length, number):
            break
        position = stop
    return position


class Reader:
    """Reads the records of a journal in order, from a sequence number on; also while another thread appends."""

    def __init__(self, folder: Path, writer: Journal | None = None, damage: DamageLog | None = None) -> None:
        self.folder = folder
        self.next_seq: int = 0
        self.damage: DamageLog = damage or DamageLog(folder.parent)
        self._writer = writer
        self._file: OwnedFile | None = None
        self._first = -1  # the first sequence number of the open segment; -1 when none is open
        self._offset = 0
        self._ready: list[Record] = []  # parsed and not yet given out
        self._scanned = 0  # the next sequence number to be parsed

    def seek(self, seq: int) -> None:
        """Continue with the record numbered `seq`, or the first one kept after it."""
        self.close()
        self.next_seq = self._scanned = seq
        self._ready = []
        firsts, noted = self._segments(), noted_bounds(self.folder)
        if firsts:
            # At 0 the backend knows nothing of this journal: what came before the oldest was stored and deleted.
            self._scanned = seq or min(firsts[0], noted.oldest if noted is not None else firsts[0])
            if firsts[0] > self._scanned:
                self._lost(firsts[0], None)
            self._scanned = max(seq, firsts[0])
            self._open(max((first for first in firsts if first <= seq), default=firsts[0]))
        else:
            self._look_for_the_newest()

    def read(self, limit: int, max_bytes: int = 4 << 20) -> list[Record]:
        """At most `limit` records (and about `max_bytes`) from here on; empty at the end."""
        self.prefetch(limit, max_bytes)
        return self._give(min(limit, len(self._ready)))

    def prefetch(self, limit: int, max_bytes: int = 4 << 20) -> None:
        """Have ready what the next `read` will ask for, as far as it is there already."""
        size = sum(len(record.data) for record in self._ready)
        while len(self._ready) < limit and size < max_bytes and (more := self._more()):
            self._ready += more
            size += sum(len(record.data) for record in more)

    def read_critical(self, limit: int, max_scanned: int = 100_000) -> list[Record]:
        """As `read`, only the CRITICAL ones; looks at about `max_scanned` records."""
        found: list[Record] = []
        scanned = 0
        while len(found) < limit and scanned < max_scanned:
            self.prefetch(1)
            if not self._ready:
                break
            looked_at = 0
            for record in self._ready:
                looked_at += 1
                if record.critical:
                    found.append(record)
                    if len(found) == limit:
                        break
            self._give(looked_at)
            scanned += looked_at
        return found

    def _give(self, count: int) -> list[Record]:
        given, self._ready = self._ready[:count], self._ready[count:]
        if given:
            self.next_seq = given[-1].seq + 1
        return given

    def _more(self) -> list[Record]:
        """The records of the next chunk that has any; empty at the end."""
        while True:
            # Asked before reading: a segment that was no longer written to then is complete when read now.
            current, committed, _ = self._writer.tail if self._writer is not None else (1 << 63, 0, 0)
            growing = self._first >= current
            chunk = self._chunk(committed if self._first == current else 0 if growing else None)
            if chunk:
                if records := self._parse(chunk):
                    return records
            elif growing or not self._open_next():
                self._look_for_the_newest()
                return []

    def _parse(self, chunk: bytes) -> list[Record]:
        records: list[Record] = []
        header, end, position, wanted = _HEADER.unpack_from, len(chunk), 0, self._scanned
        while position + 16 <= end:
            length, crc, number = header(chunk, position)
            stop = position + 16 + length
            if length == 0 or stop > end:
                break
            data = chunk[position + 16 : stop]
            seed = length * 2_654_435_761 ^ number ^ number >> 32  # as in `append`
            if crc32(data, seed) != crc and not _is_whole(data, crc, length, number):
                break
            position = stop
            seq = number & ~_CRITICAL
            if seq > wanted:
                self._lost(seq, self._first)
            if seq >= wanted:
                wanted = self._scanned = seq + 1
                records.append(Record(seq, number >= _CRITICAL, data))
        self._offset += position
        return records

    def _chunk(self, committed: int | None) -> bytes:
        """Bytes from here on that begin with a whole record; empty when the open segment holds no more.

        `committed` bounds the part that may be looked at; None: the segment is complete.
        """
        if self._file is None:
            return b""
        fd = self._file.fileno()
        end = os.fstat(fd).st_size if committed is None else committed
        chunk = read_at(fd, max(0, min(_CHUNK, end - self._offset)), self._offset)
        if len(chunk) >= 16:
            length, crc, number = _HEADER.unpack_from(chunk)
            if length and self._offset + 16 + length <= end:
                if len(chunk) < 16 + length:
                    chunk = read_at(fd, 16 + length, self._offset)
                if _is_whole(chunk[16 : 16 + length], crc, length, number):
                    return chunk
        return self._resynchronised(fd, end)

    def _resynchronised(self, fd: int, end: int) -> bytes:
        """Bytes from the next valid record of the open segment on; empty when none follows."""
        rest = read_at(fd, max(0, end - self._offset), self._offset)
        written = rest.rstrip(b"\0")
        if not written:
            return b""
        for match in _numbers(self._scanned).finditer(written, 9):
            position = match.start() - 8
            length, crc, number = _HEADER.unpack_from(rest, position)
            stop = position + 16 + length
            if length and stop <= len(rest) and _is_whole(rest[position + 16 : stop], crc, length, number):
                self._offset += position
                return rest[position:]
        if self._writer is not None or not self._is_torn(rest):
            self._lost(self._scanned + 1, self._first)
            self._offset = end
        return b""

    @staticmethod
    def _is_torn(rest: bytes) -> bool:
        """Whether this looks like what a process left that died while it wrote: a record without its end, then nothing.

        What `publish` did not return for was never promised.
        """
        if len(rest) < 16:
            return False
        stop = 16 + int(_HEADER.unpack_from(rest)[0])
        return 16 < stop <= len(rest) and rest[stop - 1] == 0 and not rest[stop:].strip(b"\0")

    def _lost(self, before: int, segment: int | None) -> None:
        """The records from where the reader stands up to number `before` are lost."""
        path = segment_path(self.folder, segment) if segment is not None and segment >= 0 else None
        self.damage.record(self.folder.name, self._scanned, before - self._scanned, path)

    def _open_next(self) -> bool:
        following = [first for first in self._segments() if first > self._first]
        if following:
            if following[0] > self._scanned and self._first >= 0:
                self._lost(following[0], self._first)
                self._scanned = following[0]
            self._open(following[0])
        return bool(following)

    def _segments(self) -> list[int]:
        """Those there are to read: not one that the writer has made, and not begun since something interrupted it."""
        begun = self._writer.tail[0] if self._writer is not None else 1 << 63
        return [first for first in segments(self.folder) if first <= begun]

    def _look_for_the_newest(self) -> None:
        """Note a loss where the last segment is missing as a whole."""
        noted = noted_bounds(self.folder) if self._writer is None else None
        if noted is not None and noted.newest > self._first and noted.newest >= self._scanned:
            self._lost(noted.newest + 1, None)

    def _open(self, first: int) -> None:
        self.close()
        self._file = OwnedFile(segment_path(self.folder, first), "r")
        self._first = first

    def close(self) -> None:
        """Release the open segment."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        self._first = -1
        self._offset = 0


def segments(folder: Path) -> list[int]:
    """The first sequence numbers of the segments in the folder, in order; files of other names are passed over."""
    return sorted(int(name[:-4]) for name in os.listdir(folder) if _SEGMENT(name))


def _numbers(least: int) -> re.Pattern[bytes]:
    """Finds where a record's number may stand that is at least `least` and not far from it."""
    high = {(least >> 24) & 0xFFFFFFFF, ((least >> 24) + 1) & 0xFFFFFFFF}
    middle = b"|".join(re.escape(one.to_bytes(4, "little")) for one in sorted(high))
    return re.compile(b"(?=[\\s\\S]{3}(?:" + middle + b")[\\x00\\x80])")


def is_journal_name(name: str) -> bool:
    """Whether a folder of this name is a journal: 16 hex digits; all else beside it belongs to somebody else."""
    return _JOURNAL(name) is not None


def segment_path(folder: Path, first: int) -> Path:
    """The file of the segment that starts at sequence number `first`."""
    return folder / f"{first:016d}.seg"


def lock_folder(folder: Path) -> OwnedFile | None:
    """A lock on the journal, held until it is closed or this process ends; None when it is taken, or the journal gone.

    A forked child does not keep it.
    """
    path = folder / "lock"
    try:
        file = OwnedFile(path, "r+" if path.exists() else "x+")
    except (FileNotFoundError, FileExistsError):  # it changes hands at this moment
        return None
    # Who held it may have removed the journal meanwhile: the lock is on nothing then.
    if lock_file(file.fileno()) and _is_at(path, file):
        return file
    file.close()
    return None


def remove(folder: Path) -> None:
    """Delete a journal whose records are all stored."""
    shutil.rmtree(folder, ignore_errors=True)


def _do_nothing() -> None:
    pass


def _allocate(path: Path, size: int, *, cached: bool = False) -> OwnedFile:
    """A file of `size` zero bytes whose blocks are reserved, so that writing to its map cannot fail later.

    `cached` takes 6 us for each 4 KiB, during which other threads run, and spares `append` 5 (ext4, Linux 6.18).
    """
    file = OwnedFile(path, "w+")
    try:
        _reserve(file, size, cached=cached)
    except JournalFull:
        file.close()  # the error's traceback refers to it for as long as somebody keeps the refused receipt
        path.unlink(missing_ok=True)
        raise
    return file


def _reserve(file: OwnedFile, size: int, *, cached: bool = False) -> None:
    try:
        reserve(file.fileno(), size, cached=cached)
    except OSError as error:
        raise JournalFull(
            f"journal: no room for a segment of {size} bytes ({error.strerror}); free disk space"
        ) from error
