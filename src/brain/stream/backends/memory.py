"""The stream in this process's memory: for tests and experiments. It ends with the process."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from brain.locks import InterruptibleLock
from brain.store.rules import new_token
from brain.stream.backends import (
    Branch,
    Entry,
    Fenced,
    GroupInfo,
    Held,
    MarkMismatch,
    NoGroup,
    StreamIdentity,
    position_number,
)
from brain.stream.dead_letters import DeadLetter, check_followed
from brain.stream.matching import EventFilter


@dataclass(slots=True)
class _Stored:
    position: int
    data: bytes
    stored_at: float
    only_group: str | None


@dataclass(slots=True)
class _Pending:
    consumer: str
    attempts: int = 1


@dataclass(slots=True)
class _Group:
    pattern: str
    read_to: int
    members: dict[str, int] = field(default_factory=dict)
    pending: dict[int, _Pending] = field(default_factory=dict)
    dead: dict[int, DeadLetter] = field(default_factory=dict)


class MemoryBackend:
    """Lists and dictionaries under one lock."""

    durable = True  # there is no process besides this one that could die alone

    def __init__(self) -> None:
        self._lock = InterruptibleLock()  # taken by itself: what interrupts `with` on a Condition may leave it held
        self._changed = threading.Condition(self._lock)
        self._log: list[_Stored] = []
        self._last = 0
        self._marks: dict[str, str] = {}
        self._groups: dict[str, _Group] = {}
        self._id = new_token()
        self._branches: list[Branch] = []
        self._owners: dict[str, str] = {}
        self._index: dict[int, tuple[bytes, Sequence[bytes]]] = {}

    def append(
        self,
        producer: str,
        previous: str,
        mark: str,
        records: Sequence[bytes],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[str]:
        """As Backend says."""
        with self._lock:
            stored = self._marks.get(producer, "")
            if stored == mark:
                return []
            if stored != previous:
                raise MarkMismatch(stored)
            self._marks[producer] = mark
            return [self._add(data) for data in records]

    def wake_others(self) -> None:
        """As Backend says. This very memory has no others."""

    def tidy(self) -> None:
        """As Backend says. There is nothing to do."""

    def mark(self, producer: str) -> str:
        """As Backend says."""
        return self._marks.get(producer, "")

    def forget(self, producer: str) -> None:
        """As Backend says."""
        self._marks.pop(producer, None)

    def read(self, after: str, limit: int, group: str | None = None) -> list[Entry]:
        """As Backend says."""
        with self._lock:
            rows = islice(self._log, self._index_after(position_number(after)), None)
            wanted = (row for row in rows if row.only_group in (None, group))
            return [Entry(str(row.position), row.data) for row in islice(wanted, limit)]

    def read_common(self, after: str, limit: int) -> list[Entry] | None:
        """As Backend says."""
        with self._lock:
            rows = list(islice(self._log, start := self._index_after(position_number(after)), start + limit))
        if any(row.only_group is not None for row in rows):
            return None
        return [Entry(str(row.position), row.data) for row in rows]

    def read_back(self, before: str, limit: int) -> list[Entry]:
        """As Backend says."""
        with self._lock:
            end = self._index_after(position_number(before) - 1) if before else len(self._log)
            public = (row for row in islice(reversed(self._log), len(self._log) - end, None) if row.only_group is None)
            return [Entry(str(row.position), row.data) for row in islice(public, limit)]

    def tail(self) -> str:
        """As Backend says."""
        return str(self._last) if self._last else ""

    def identity(self) -> StreamIdentity:
        """As Backend says."""
        with self._lock:
            trimmed = self._log[0].position - 1 if self._log else self._last
            return StreamIdentity(self._id, "", _position(trimmed), tuple(self._branches))

    def branch(self, position: str | None = None) -> Branch:
        """As Backend says."""
        with self._lock:
            at = self._last if position is None else min(position_number(position), self._last)
            self._branches.append(Branch(new_token(), _position(at)))
            return self._branches[-1]

    def at(self, position: str) -> bytes | None:
        """As Backend says."""
        with self._lock:
            number = position_number(position)
            index = self._index_after(number - 1)
            found = self._log[index : index + 1]
            return found[0].data if found and found[0].position == number else None

    def position_at(self, unix_seconds: float) -> str:
        """As Backend says."""
        with self._lock:
            index = bisect_right(self._log, unix_seconds, key=lambda row: row.stored_at)
            return str(self._log[index - 1].position) if index else ""

    def newest_at(self) -> float | None:
        """As Backend says."""
        with self._lock:
            return self._log[-1].stored_at if self._log else None

    def wait(self, after: str, timeout: float) -> str:
        """As Backend says."""
        with self._lock:
            found = self._changed.wait_for(lambda: self._last > position_number(after), timeout)
            return str(self._last) if found else ""

    def create_group(self, group: str, pattern: str, start: str) -> None:
        """As Backend says."""
        with self._lock:
            known = self._groups.setdefault(group, _Group(pattern, position_number(start)))
            known.pattern = pattern

    def drop_group(self, group: str) -> None:
        """As Backend says."""
        with self._lock:
            if self._groups.pop(group, None) is None:
                raise NoGroup(f"group {group!r} does not exist")
            self._owners.pop(group, None)

    def rename_group(self, old: str, new: str) -> bool:
        """As Backend says."""
        with self._lock:
            if old not in self._groups or new in self._groups:
                return False
            self._groups[new] = group = self._groups.pop(old)
            group.members.clear()
            group.dead = {at: msgspec.structs.replace(letter, group=new) for at, letter in group.dead.items()}
            for row in self._log:
                if row.only_group == old:
                    row.only_group = new
            return True

    def groups(self) -> list[GroupInfo]:
        """As Backend says."""
        with self._lock:
            return [
                GroupInfo(
                    name=name,
                    pattern=group.pattern,
                    read_to=_position(group.read_to),
                    safe=_position(min(group.pending, default=group.read_to + 1) - 1),
                    lag=len(self._log) - self._index_after(group.read_to),
                    pending=len(group.pending),
                    dead=len(group.dead),
                    consumers=None if name in self._owners else len(group.members),
                )
                for name, group in sorted(self._groups.items())
            ]

    def advance(self, group: str, position: str) -> None:
        """As Backend says."""
        with self._lock:
            self._group(group).read_to = position_number(position)

    def owners(self) -> dict[str, str]:
        """As Backend says."""
        with self._lock:
            return dict(self._owners)

    def set_owner(self, group: str, owner: str, previous: str) -> str:
        """As Backend says."""
        with self._lock:
            if self._owners.get(group, "") == previous:
                self._owners[group] = owner
            return self._owners.get(group, "")

    def join(self, group: str, consumer: str) -> None:
        """As Backend says."""
        with self._lock:
            self._group(group).members.setdefault(consumer, 0)

    def heartbeat(self, group: str, consumer: str) -> dict[str, int]:
        """As Backend says."""
        with self._lock:
            members = self._member(group, consumer).members
            members[consumer] += 1
            return dict(members)

    def expel(self, group: str, consumer: str, heartbeats: int | None = None) -> None:
        """As Backend says."""
        with self._lock:
            members = self._group(group).members
            if heartbeats is None or members.get(consumer) == heartbeats:
                members.pop(consumer, None)

    def take_over(self, group: str, consumer: str) -> list[Held]:
        """As Backend says."""
        with self._lock:
            state = self._member(group, consumer)
            taken = []
            for position, pending in sorted(state.pending.items()):
                if pending.consumer not in state.members:
                    pending.consumer = consumer
                    taken.append(Held(str(position), self._at(position), pending.attempts))
            return taken

    def fetch(self, group: str, consumer: str, limit: int, wanted: EventFilter | None = None) -> list[Entry]:
        """As Backend says."""
        with self._lock:
            state = self._member(group, consumer)
            found = []
            for row in islice(self._log, self._index_after(state.read_to), None):
                state.read_to = row.position
                if row.only_group in (None, group) and (wanted is None or wanted(row.data)):
                    found.append(row)
                    if len(found) == limit:
                        break
            state.pending.update((row.position, _Pending(consumer)) for row in found)
            return [Entry(str(row.position), row.data) for row in found]

    def ack(self, group: str, consumer: str, positions: Sequence[str]) -> None:
        """As Backend says."""
        with self._lock:
            state = self._member(group, consumer)
            for position in positions:
                state.pending.pop(int(position), None)

    def count_attempt(self, group: str, position: str) -> int:
        """As Backend says."""
        with self._lock:
            pending = self._group(group).pending.get(int(position))
            if pending is None:
                raise Fenced(f"group {group!r}: {position} is not held")
            pending.attempts += 1
            return pending.attempts

    def dead_letter(self, letter: DeadLetter, consumer: str) -> None:
        """As Backend says."""
        with self._lock:
            state = self._member(letter.group, consumer)
            state.dead[int(letter.position)] = letter
            state.pending.pop(int(letter.position), None)

    def dead_letters(self, group: str | None = None, limit: int = 1000, after: str = "") -> list[DeadLetter]:
        """As Backend says."""
        with self._lock:
            groups = [self._group(group)] if group is not None else list(self._groups.values())
            first = position_number(after) if after else -1
            found = (dead for state in groups for at, dead in state.dead.items() if at > first)
            return sorted(found, key=_in_stream_order)[:limit]

    def redrive(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        with self._lock:
            check_followed(group, self._group(group).pattern, self._chosen_dead(group, positions))
            letters = self._take_dead(group, positions)
            for letter in letters:
                self._add(letter.data, only_group=group)
            return len(letters)

    def discard(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        with self._lock:
            return len(self._take_dead(group, positions))

    def size(self) -> tuple[int, int]:
        """As Backend says."""
        with self._lock:
            return len(self._log), sum(len(row.data) for row in self._log)

    def nth_oldest(self, n: int) -> str:
        """As Backend says."""
        with self._lock:
            return str(self._log[min(n, len(self._log)) - 1].position) if self._log else ""

    def trim(self, up_to: str) -> int:
        """As Backend says."""
        with self._lock:
            count = self._index_after(position_number(up_to))
            del self._log[:count]
            return count

    def index_blocks(self, after: int) -> list[tuple[int, bytes]]:
        """As Backend says."""
        with self._lock:
            return sorted((number, block) for number, (block, _) in self._index.items() if number > after)

    def index_parts(self, part: int, blocks: Sequence[int]) -> dict[int, bytes]:
        """As Backend says."""
        with self._lock:
            return {number: self._index[number][1][part] for number in blocks if number in self._index}

    def add_index_block(self, number: int, block: bytes, parts: Sequence[bytes]) -> bool:
        """As Backend says."""
        with self._lock:
            return self._index.setdefault(number, (block, parts))[0] is block

    def drop_index_blocks(self, below: int | None) -> None:
        """As Backend says."""
        with self._lock:
            self._index = {} if below is None else {n: one for n, one in self._index.items() if n >= below}

    def for_child(self) -> MemoryBackend:
        """As Backend says. The child goes on with a copy: the two memories part here."""
        child = copy(self)
        child._lock = InterruptibleLock()
        child._changed = threading.Condition(child._lock)
        return child

    def close(self) -> None:
        """As Backend says."""
        pass

    def _add(self, data: bytes, only_group: str | None = None) -> str:
        self._last += 1
        stored_at = max(time.time(), self._log[-1].stored_at if self._log else 0.0)  # a clock may be set back
        self._log.append(_Stored(self._last, data, stored_at, only_group))
        self._changed.notify_all()
        return str(self._last)

    def _index_after(self, position: int) -> int:
        return bisect_right(self._log, position, key=lambda row: row.position)

    def _at(self, position: int) -> bytes:
        return self._log[self._index_after(position - 1)].data

    def _group(self, group: str) -> _Group:
        try:
            return self._groups[group]
        except KeyError:
            raise NoGroup(f"group {group!r} does not exist") from None

    def _member(self, group: str, consumer: str) -> _Group:
        state = self._group(group)
        if consumer not in state.members:
            raise Fenced(f"group {group!r}: {consumer} is not a member any more")
        return state

    def _take_dead(self, group: str, positions: Sequence[str] | None) -> list[DeadLetter]:
        dead = self._group(group).dead
        return [dead.pop(int(letter.position)) for letter in self._chosen_dead(group, positions)]

    def _chosen_dead(self, group: str, positions: Sequence[str] | None) -> list[DeadLetter]:
        dead = self._group(group).dead
        wanted = dead.keys() if positions is None else {position_number(position) for position in positions}
        return [dead[position] for position in sorted(wanted & dead.keys())]


def _position(number: int) -> str:
    return str(number) if number > 0 else ""


def _in_stream_order(letter: DeadLetter) -> tuple[int, str]:
    return int(letter.position), letter.group
