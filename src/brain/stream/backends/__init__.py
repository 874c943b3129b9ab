"""Where events are kept: one protocol, three backends (memory, SQLite, Redis), one conformance suite.

Backends are synchronous and thread-safe. The shipper's thread appends; asyncio code reads through an executor.
They carry bytes and know nothing of retries: that is the stream's work, the same above each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

import msgspec

from brain.errors import BrainError, InvalidInput, NotFound
from brain.extras import needs
from brain.redis_client.url import SCHEMES, checked_text, masked
from brain.stream.dead_letters import DeadLetter
from brain.stream.matching import EventFilter


class Entry(NamedTuple):
    """One stored event: its position in the stream and its bytes."""

    position: str
    data: bytes


class Held(NamedTuple):
    """An event that a consumer holds unacknowledged, with the number of attempts counted so far."""

    position: str
    data: bytes
    attempts: int


class Branch(NamedTuple):
    """A restore: what follows the position is another line than what followed it before. The token is random."""

    token: str
    position: str


class StreamIdentity(NamedTuple):
    """Which stream this is, for those that keep their position in it elsewhere.

    `id` is random, made with the stream; `born` is where the stream ended then ("": it was empty; older streams were
    given their id later). `trimmed` is the newest position that retention has deleted, "" for none. `branches` are the
    restores that somebody recorded, in order.
    """

    id: str
    born: str = ""
    trimmed: str = ""
    branches: tuple[Branch, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """The state of one consumer group.

    `read_to` is the last position handed out; `lag` counts events after it; `pending` those handed out and not yet
    acknowledged; `safe` is the position up to which everything is acknowledged. `consumers` are its members; None for
    a group that a database keeps (`owners`): its projection reads by position, and is no member.
    """

    name: str
    pattern: str
    read_to: str
    safe: str
    lag: int
    pending: int
    dead: int
    consumers: int | None


class MarkMismatch(BrainError):
    """The backend knows another mark of the producer than the one the append builds on; `stored` is what it knows."""

    def __init__(self, stored: str) -> None:
        super().__init__(f"the backend's mark of this producer is {stored!r}")
        self.stored = stored


class NoGroup(NotFound):
    """The group is not known to the backend (never made, removed, or lost with the backend's memory)."""


class Fenced(BrainError):
    """This consumer's lease is gone: others have taken over what it held, so its word no longer counts."""


class Backend(Protocol):
    """Storage of the stream. Every method may raise Unavailable; group methods raise NoGroup for an unknown group."""

    durable: bool
    """Whether what is stored survives the death of the backend's own process and memory."""

    def append(
        self,
        producer: str,
        previous: str,
        mark: str,
        records: Sequence[bytes],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[str]:
        """Store the records in order and set the producer's mark, all or nothing; their positions.

        `meanwhile` may be called while another process stores them, as something useful to do until it answers.

        Succeeds only when the stored mark is `previous`. When it is `mark` already, the very same append has succeeded
        before, and nothing is done (an empty list). Raises MarkMismatch otherwise. "" is the mark of the unknown.
        """

    def wake_others(self) -> None:
        """Wake who waits in other processes for what was appended; called once those of this process know of it.

        The woken would be in their way. Who is not woken looks in a moment.
        """

    def tidy(self) -> None:
        """Have done, by a thread of its own, what the storage needs now and then. Called at a quiet moment."""

    def mark(self, producer: str) -> str:
        """The producer's stored mark, or ""."""

    def forget(self, producer: str) -> None:
        """Drop the mark of a producer that has ended with nothing left to ship."""

    def read(self, after: str, limit: int, group: str | None = None) -> list[Entry]:
        """Events after the position ("" for the start), oldest first, with those redriven for `group` alone."""

    def read_common(self, after: str, limit: int) -> list[Entry] | None:
        """As `read`, once for all groups; None when one of these events was redriven for a group alone."""

    def read_back(self, before: str, limit: int) -> list[Entry]:
        """Events before the position ("" for the end), newest first."""

    def tail(self) -> str:
        """The position of the newest event, or "" when there has been none."""

    def identity(self) -> StreamIdentity:
        """Which stream this is; one without an id is given one. Raises NewerSchema."""

    def branch(self, position: str | None = None) -> Branch:
        """Record that this stream was restored: what follows the position (None: the end) is a line of its own."""

    def at(self, position: str) -> bytes | None:
        """The event at this very position, for whichever group it is; None when there is none."""

    def position_at(self, unix_seconds: float) -> str:
        """A position such that every event stored after that time comes after it."""

    def newest_at(self) -> float | None:
        """About when the newest event was stored, in Unix seconds; None when none ever was."""

    def wait(self, after: str, timeout: float) -> str:
        """Block until there is an event after the position; the newest position then, "" after `timeout` seconds."""

    def create_group(self, group: str, pattern: str, start: str) -> None:
        """Make the group, reading on from `start` ("" for the start); for one that exists only the pattern is noted."""

    def drop_group(self, group: str) -> None:
        """Remove the group with its dead letters."""

    def rename_group(self, old: str, new: str) -> bool:
        """Give the group another name: its position, what it holds with the attempts at it, its dead letters.

        One step. False, and nothing is done, when there is no group `old`, or one of the name `new` already.
        Memberships end; what their members held is taken over under the new name.
        """

    def groups(self) -> list[GroupInfo]:
        """All groups."""

    def advance(self, group: str, position: str) -> None:
        """Note that the group, which has no members but keeps its own position, is done with all up to there."""

    def owners(self) -> dict[str, str]:
        """Which database keeps the position of a group, for the groups of which it is noted. `set_owner` notes it."""

    def set_owner(self, group: str, owner: str, previous: str) -> str:
        """Note the owner if the noted one is `previous` ("" for none); the one that is noted now. One step.

        The group need not exist yet. `drop_group` forgets it.
        """

    def join(self, group: str, consumer: str) -> None:
        """Make the consumer a member of the group."""

    def heartbeat(self, group: str, consumer: str) -> dict[str, int]:
        """Count up the member's heartbeats; those of all members. Raises Fenced when it is not a member any more."""

    def expel(self, group: str, consumer: str, heartbeats: int | None = None) -> None:
        """End a membership, if it still has so many heartbeats (None: any); what it held can then be taken over."""

    def take_over(self, group: str, consumer: str) -> list[Held]:
        """Give the consumer all that is held by no present member."""

    def fetch(self, group: str, consumer: str, limit: int, wanted: EventFilter | None = None) -> list[Entry]:
        """The next events of the group, held by the consumer from now on; empty when there is none. Raises Fenced.

        Those that are not `wanted` are passed over: nothing is written for them.
        """

    def ack(self, group: str, consumer: str, positions: Sequence[str]) -> None:
        """Done with these. Raises Fenced, and then has done nothing."""

    def count_attempt(self, group: str, position: str) -> int:
        """Count one more attempt at a held event; the new number. Delivery was the first, so the first call gives 2."""

    def dead_letter(self, letter: DeadLetter, consumer: str) -> None:
        """Move a held event to the group's dead letters. Raises Fenced."""

    def dead_letters(self, group: str | None = None, limit: int = 1000, after: str = "") -> list[DeadLetter]:
        """Dead letters in stream order, those after a position."""

    def redrive(self, group: str, positions: Sequence[str] | None = None) -> int:
        """Append these dead letters (None: all) again, in stream order, for this group alone; how many.

        Raises Conflict, with nothing done, when one is of a type that the group's pattern does not match.
        """

    def discard(self, group: str, positions: Sequence[str] | None = None) -> int:
        """Delete these dead letters (None: all); how many."""

    def size(self) -> tuple[int, int]:
        """How many events are kept, and about how many bytes they take."""

    def nth_oldest(self, n: int) -> str:
        """The position of the n-th oldest event (1 is the oldest), or the last one there is."""

    def trim(self, up_to: str) -> int:
        """Delete events at and before the position; how many."""

    def index_blocks(self, after: int) -> list[tuple[int, bytes]]:
        """The blocks of the index with greater numbers, by number (see `brain.stream.event_index`)."""

    def index_parts(self, part: int, blocks: Sequence[int]) -> dict[int, bytes]:
        """One part of each of these blocks, by block; those that are missing are left out."""

    def add_index_block(self, number: int, block: bytes, parts: Sequence[bytes]) -> bool:
        """Keep a block with its parts, all or nothing; False, and nothing is done, when there is one of the number."""

    def drop_index_blocks(self, below: int | None) -> None:
        """Delete the blocks with smaller numbers, None: all."""

    def for_child(self) -> Backend:
        """In a forked child: the same place, with locks and connections of this process's own. Asks nobody."""

    def close(self) -> None:
        """Release connections and files."""


def position_key(position: str) -> tuple[int, ...]:
    """Positions of one backend in stream order: `17` or `1703001234567-3`; "" comes before all."""
    return tuple(map(int, position.split("-"))) if position else ()


def next_position(position: str) -> str:
    """The smallest position after this one."""
    head, dash, number = position.rpartition("-")
    return f"{head}{dash}{int(number) + 1}"


def check_position(position: str) -> str:
    """The position as given. Raises InvalidInput when it is none."""
    parts = position.split("-")
    if position and not (
        len(parts) <= 2 and all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts)
    ):
        raise InvalidInput(f"position: {position!r} is not a position; give one that an earlier answer gave")
    return position


def position_number(position: str) -> int:
    """The position in a backend that counts its events, 0 for "". Raises InvalidInput for one of another backend."""
    if not position:
        return 0
    if not position.isdecimal():
        raise InvalidInput(f"position: {position!r} is not of this stream; give one that an earlier answer gave")
    return int(position)


def open_backend(url: str, *, power: bool = False) -> Backend:
    """The backend at `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db` or a Redis URL (docs/redis.md).

    `power` asks for commits that survive the loss of power, where that is the backend's to give (SQLite).
    Raises InvalidInput for another scheme, MissingExtra for Redis without redis-py.
    """
    scheme = checked_text(url, "stream").partition("://")[0]
    if scheme == "memory":
        from brain.stream.backends.memory import MemoryBackend

        return MemoryBackend()
    if scheme == "sqlite":
        from brain.stream.backends.sqlite import SQLiteBackend

        return SQLiteBackend(url, power=power)
    if scheme in SCHEMES:
        with needs("a stream on Redis", "redis"):
            from brain.stream.backends.redis import RedisBackend

        return RedisBackend(url)
    raise InvalidInput(
        f"stream URL {masked(url)!r}: start it with memory://, sqlite:///, redis://; docs/redis.md shows more"
    )


_ANCHOR = "erased_anchor"
"""In the meta of an event that was erased: the anchor that it had before."""


def anchor_of(data: bytes | None) -> str:
    """The anchor of an event's bytes, by which its place in the stream is known again; "" for none.

    An event whose subject was erased keeps the anchor that it had: nobody takes the stream for another one.
    """
    if data is None:
        return ""
    return _anchor_before(data) or sha256(data).hexdigest()[:32]


def erased_event(data: bytes, event: dict[str, Any]) -> bytes:
    """The event as the stream has it from now on in the place of `data`, with the anchor of what it was."""
    return msgspec.json.encode({**event, "meta": {**event.get("meta", {}), _ANCHOR: anchor_of(data)}})


def _anchor_before(data: bytes) -> str:
    if _ANCHOR.encode() not in data:
        return ""
    try:
        found = msgspec.json.decode(data)
        anchor = found["meta"][_ANCHOR]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return anchor if isinstance(anchor, str) and len(anchor) == 32 else ""
