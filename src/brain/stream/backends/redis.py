"""The stream on Redis Streams (Redis 7 or newer, or Valkey): one server, Sentinel or Cluster.

One stream key holds all events; a group is a consumer group on it. Memberships, attempts, marks and dead letters are
hashes beside it. All keys share a hash tag, the name of the stream, so the scripts work on a Cluster too.
Commands: https://redis.io/docs/latest/commands/?group=stream. How to size and run it: docs/redis.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import msgspec
import redis

from brain.store.rules import new_token
from brain.store.schema import newer_schema
from brain.stream.backends import (
    Branch,
    Entry,
    Fenced,
    GroupInfo,
    Held,
    NoGroup,
    StreamIdentity,
    check_position,
    position_key,
)
from brain.stream.backends.redis_health import weaknesses
from brain.stream.backends.redis_link import Link
from brain.stream.dead_letters import DeadLetter, check_followed, unpack_letter
from brain.stream.index_block import PARTS
from brain.stream.matching import EventFilter

SCHEMA = 1
"""The version of the keys, as the field `schema` of the stream's identity has it."""

_entry = partial(tuple.__new__, Entry)  # what Entry(...) does, without a call of Python for each event
_LAST_SEQ = (1 << 64) - 1
_MAX_ACK = 1000  # positions an acknowledging script is given at once; Lua's stack bounds it
_SKIP = 10_000  # events counted by one script; a longer one would hold the server up


class RedisBackend:
    """Safe for threads."""

    durable = False
    """Redis may come back empty (no append-only file): what was stored there counts as safe only when consumed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._link = link = Link(url)
        self._redis, self._errors, self._run = link.client, link.errors, link.run
        self._tag = f"{{{link.place.stream}}}"
        self._read_to: dict[str, str] = {}  # the last position handed out, by group, as far as this process knows
        names = ("events", "marks", "patterns", "owners", "index", "index_parts", "identity")
        self._events, self._marks, self._patterns, self._owners, self._index, self._index_parts, self._identity = (
            f"{self._tag}:{name}" for name in names
        )

    def append(
        self,
        producer: str,
        previous: str,
        mark: str,
        records: Sequence[bytes],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[str]:
        """As Backend says."""
        keys, args = (self._events, self._marks, self._identity), (producer, previous, mark, new_token(), *records)
        with self._errors():
            first = _text(self._run("append", keys, args, meanwhile))
        if not first:
            return []
        ms, _, seq = first.partition("-")
        return [f"{ms}-{number}" for number in range(int(seq), int(seq) + len(records))]

    def wake_others(self) -> None:
        """As Backend says. Redis has woken them."""

    def tidy(self) -> None:
        """As Backend says. Redis does so itself."""

    def mark(self, producer: str) -> str:
        """As Backend says."""
        with self._errors():
            return _text(cast(bytes | None, self._redis.hget(self._marks, producer)) or b"")

    def forget(self, producer: str) -> None:
        """As Backend says."""
        with self._errors():
            self._redis.hdel(self._marks, producer)

    def read(self, after: str, limit: int, group: str | None = None) -> list[Entry]:
        """As Backend says."""
        return self._page("XRANGE", after, "-", "+", limit, group)

    def read_common(self, after: str, limit: int) -> list[Entry] | None:
        """As Backend says."""
        with self._errors():
            start = f"({after}" if after else "-"
            rows: Any = self._redis.execute_command("XRANGE", self._events, start, "+", "COUNT", limit)
        if not all(_is_for(row, None) for row in rows):
            return None
        return [Entry(position.decode(), fields[1]) for position, fields in rows]

    def read_back(self, before: str, limit: int) -> list[Entry]:
        """As Backend says."""
        return self._page("XREVRANGE", before, "+", "-", limit)

    def _page(
        self, command: str, beyond: str, start: str, end: str, limit: int, group: str | None = None
    ) -> list[Entry]:
        """Events beyond a position; those for one group alone are passed over, unless it is this one."""
        found: list[Entry] = []
        while len(found) < limit:
            start = f"({beyond}" if beyond else start
            with self._errors():
                rows: Any = self._redis.execute_command(command, self._events, start, end, "COUNT", limit - len(found))
            if not rows:
                break
            beyond = rows[-1][0].decode()
            found += [
                Entry(position.decode(), fields[1]) for position, fields in rows if _is_for((position, fields), group)
            ]
        return found

    def tail(self) -> str:
        """As Backend says."""
        with self._errors():
            try:
                last = _text(cast(Any, self._redis.xinfo_stream(self._events))["last-generated-id"])
            except redis.ResponseError as error:
                if "no such key" in str(error):
                    return ""
                raise
            return "" if last == "0-0" else last

    def identity(self) -> StreamIdentity:
        """As Backend says."""
        keys, args = [self._events, self._marks, self._identity], ["", "", "", new_token()]
        with self._errors():
            fields = [_text(field or b"") for field in self._run("identity", keys, args)]
        stream_id, born, trimmed, branches, schema = fields
        if int(schema or 1) > SCHEMA:
            raise newer_schema(self._link.place.where, "stream", int(schema), SCHEMA)
        lines = (line.partition(" ") for line in branches.splitlines())
        return StreamIdentity(stream_id, born, trimmed, tuple(Branch(token, position) for token, _, position in lines))

    def branch(self, position: str | None = None) -> Branch:
        """As Backend says."""
        self.identity()
        token = new_token()
        with self._errors():
            at = _text(self._run("branch", [self._events, self._identity], [token, position or ""]))
        return Branch(token, at)

    def at(self, position: str) -> bytes | None:
        """As Backend says."""
        if not position:
            return None
        with self._errors():
            rows: Any = self._redis.execute_command("XRANGE", self._events, position, position)
        return rows[0][1][1] if rows else None

    def position_at(self, unix_seconds: float) -> str:
        """As Backend says."""
        return f"{max(0, int(unix_seconds * 1000))}-0"

    def newest_at(self) -> float | None:
        """As Backend says."""
        tail = self.tail()
        return int(tail.partition("-")[0]) / 1000 if tail else None

    def wait(self, after: str, timeout: float) -> str:
        """As Backend says. Only where there is more than one event Redis is asked for the newest."""
        deadline = time.monotonic() + timeout
        while True:
            # In turns shorter than the client's timeout: a server that hangs differs from one with nothing new.
            turn = min(max(0.001, deadline - time.monotonic()), self._link.reply_timeout / 4)
            with self._errors():
                block = max(1, int(turn * 1000))
                read = ("XREAD", "COUNT", 2, "BLOCK", block, "STREAMS", self._events, after or "0-0")
                (found,) = self._link.ask(read)
            if found:
                ((_, rows),) = found
                return (self.tail() if len(rows) > 1 else "") or _text(rows[-1][0])
            if time.monotonic() >= deadline:
                return ""

    def create_group(self, group: str, pattern: str, start: str) -> None:
        """As Backend says."""
        with self._errors():
            self._run("create_group", [self._events, self._patterns], [group, pattern, start or "0-0"])

    def drop_group(self, group: str) -> None:
        """As Backend says."""
        with self._errors():
            if not self._redis.xgroup_destroy(self._events, group):
                raise NoGroup(f"group {group!r} does not exist")
            self._redis.hdel(self._patterns, group)
            self._redis.hdel(self._owners, group)
            self._redis.delete(self._members(group), self._attempts(group), self._dead(group))

    def rename_group(self, old: str, new: str) -> bool:
        """As Backend says."""
        infos = {info.name: info for info in self.groups()}
        if old not in infos or new in infos:
            return False
        # What was redriven for the old name and is still to be read carries that name for good: appended once more.
        redriven = self._redriven(old, infos[old].read_to)
        keys = [f"{self._tag}:{kind}:{name}" for kind in ("members", "attempts", "dead") for name in (old, new)]
        with self._errors():
            return bool(self._run("rename_group", [self._events, self._patterns, *keys], [old, new, *redriven]))

    def _redriven(self, group: str, after: str) -> list[bytes]:
        found: list[bytes] = []
        while True:
            start = f"({after}" if after else "-"
            with self._errors():
                rows: Any = self._redis.execute_command("XRANGE", self._events, start, "+", "COUNT", _SKIP)
            if not rows:
                return found
            found += [row[1][1] for row in rows if len(row[1]) > 2 and _text(row[1][3]) == group]
            after = rows[-1][0].decode()

    def groups(self) -> list[GroupInfo]:
        """As Backend says."""
        with self._errors():
            try:
                rows = self._redis.xinfo_groups(self._events)
            except redis.ResponseError as error:
                if "no such key" in str(error):
                    return []
                raise
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(self._patterns)
                pipe.hkeys(self._owners)
                for row in rows:
                    name = _text(row["name"])
                    pipe.xpending(self._events, name)
                    pipe.hlen(self._dead(name))
                    pipe.hlen(self._members(name))
                patterns, owned, *details = pipe.execute()
            found = [
                self._group_info(row, _text(patterns.get(row["name"], b"*")), *details[3 * i : 3 * i + 3])
                for i, row in enumerate(rows)
            ]
            by_position = {_text(name) for name in owned}
            return [replace(info, consumers=None) if info.name in by_position else info for info in found]

    def _group_info(
        self, row: dict[str, Any], pattern: str, pending: dict[str, Any], dead: int, members: int
    ) -> GroupInfo:
        read_to = _text(row["last-delivered-id"])
        lag = row.get("lag")
        if lag is None:  # Redis cannot tell after some trims; then up to 10,000 are counted
            lag = self._run("skip", [self._events], [f"({read_to}", _SKIP])[1]
        return GroupInfo(
            name=_text(row["name"]),
            pattern=pattern,
            read_to="" if read_to == "0-0" else read_to,
            safe=_before(_text(pending["min"])) if pending["pending"] else ("" if read_to == "0-0" else read_to),
            lag=int(lag),
            pending=int(pending["pending"]),
            dead=dead,
            consumers=members,
        )

    def advance(self, group: str, position: str) -> None:
        """As Backend says."""
        with self._errors():
            self._redis.xgroup_setid(self._events, group, position or "0-0")

    def owners(self) -> dict[str, str]:
        """As Backend says."""
        with self._errors():
            found = cast(dict[bytes, bytes], self._redis.hgetall(self._owners))
            return {_text(group): _text(owner) for group, owner in found.items()}

    def set_owner(self, group: str, owner: str, previous: str) -> str:
        """As Backend says."""
        with self._errors():
            return _text(self._run("set_owner", [self._owners], [group, owner, previous]))

    def join(self, group: str, consumer: str) -> None:
        """As Backend says."""
        with self._errors():
            self._run("join", [self._events, self._members(group)], [group, consumer])

    def heartbeat(self, group: str, consumer: str) -> dict[str, int]:
        """As Backend says."""
        with self._errors():
            rows = self._run("heartbeat", [self._events, self._members(group)], [group, consumer])
            return {_text(name): int(count) for name, count in zip(rows[::2], rows[1::2], strict=True)}

    def expel(self, group: str, consumer: str, heartbeats: int | None = None) -> None:
        """As Backend says."""
        with self._errors():
            self._run("expel", [self._members(group)], [consumer, "" if heartbeats is None else heartbeats])

    def take_over(self, group: str, consumer: str) -> list[Held]:
        """As Backend says."""
        with self._errors():
            rows = self._run(
                "take_over", [self._events, self._members(group), self._attempts(group)], [group, consumer]
            )
            return [Held(_text(position), data, int(attempts)) for position, data, attempts in rows]

    def fetch(self, group: str, consumer: str, limit: int, wanted: EventFilter | None = None) -> list[Entry]:
        """As Backend says."""
        with self._errors():
            if wanted is None:
                return self._fetch_all(group, consumer, limit)
            return self._fetch_wanted(group, consumer, limit, wanted)

    def _fetch_all(self, group: str, consumer: str, limit: int) -> list[Entry]:
        while True:
            # Not MULTI, which a full server refuses. The order does for it: who is a member after reading was one.
            streams, member = self._link.ask(
                ("XREADGROUP", "GROUP", group, consumer, "COUNT", limit, "STREAMS", self._events, ">"),
                ("HEXISTS", self._members(group), consumer),
            )
            if not member:  # what was just handed out belongs to no member, so another one takes it over
                raise Fenced(f"group {group!r}: {consumer} is not a member any more")
            rows = streams[0][1] if streams else []
            foreign = {row[0] for row in rows if len(row[1]) > 2 and not _is_for(row, group)}
            if foreign:
                self._redis.xack(self._events, group, *foreign)
                rows = [row for row in rows if row[0] not in foreign]
            if rows or not streams:
                return [_entry((position.decode(), fields[1])) for position, fields in rows]

    def _fetch_wanted(self, group: str, consumer: str, limit: int, wanted: EventFilter) -> list[Entry]:
        """Read ahead of the group, and have it hold the wanted ones of what was read and move beyond the rest.

        Redis hands out whatever comes next: https://redis.io/docs/latest/commands/xreadgroup/ knows no filter. The
        script refuses when another member has moved the group meanwhile, and says to where.
        """
        while True:
            known = self._read_to.get(group, "0-0")
            rows: Any = self._redis.execute_command("XRANGE", self._events, f"({known}", "+", "COUNT", limit)
            found = [row for row in rows if _is_for(row, group) and wanted(row[1][1])]
            reached = rows[-1][0].decode() if rows else known
            args = [group, consumer, known, reached, len(rows), *(row[0] for row in found)]
            done, stands = self._run("hold", [self._events, self._members(group)], args)
            self._read_to[group] = _text(stands)
            if done and (found or not rows):
                return [Entry(position.decode(), fields[1]) for position, fields in found]

    def ack(self, group: str, consumer: str, positions: Sequence[str]) -> None:
        """As Backend says."""
        with self._errors():
            for start in range(0, len(positions), _MAX_ACK):
                keys = [self._events, self._members(group), self._attempts(group)]
                # As one text: the client takes longer over each argument than the server over splitting them.
                self._run("ack", keys, [group, consumer, " ".join(positions[start : start + _MAX_ACK])])

    def count_attempt(self, group: str, position: str) -> int:
        """As Backend says."""
        with self._errors():
            return int(self._run("count_attempt", [self._events, self._attempts(group)], [group, position]))

    def dead_letter(self, letter: DeadLetter, consumer: str) -> None:
        """As Backend says."""
        with self._errors():
            keys = [self._events, self._members(letter.group), self._attempts(letter.group), self._dead(letter.group)]
            self._run("dead_letter", keys, [letter.group, consumer, letter.position, msgspec.msgpack.encode(letter)])

    def dead_letters(self, group: str | None = None, limit: int = 1000, after: str = "") -> list[DeadLetter]:
        """As Backend says."""
        with self._errors():
            names = [group] if group is not None else [info.name for info in self.groups()]
            found = [
                unpack_letter(packed, name)
                for name in names
                for packed in cast(list[bytes], self._redis.hvals(self._dead(name)))
            ]
            if after:
                first = position_key(check_position(after))
                found = [letter for letter in found if position_key(letter.position) > first]
            return sorted(found, key=lambda letter: (position_key(letter.position), letter.group))[:limit]

    def redrive(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        count = 0
        letters = self._chosen_dead(group, positions)
        with self._errors():
            check_followed(group, _text(self._redis.hget(self._patterns, group) or b"*"), letters)
        for letter in letters:
            with self._errors():
                count += int(
                    self._run("redrive", [self._events, self._dead(group)], [group, letter.position, letter.data])
                )
        return count

    def discard(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        chosen = [letter.position for letter in self._chosen_dead(group, positions)]
        with self._errors():
            return int(self._redis.hdel(self._dead(group), *chosen)) if chosen else 0

    def _chosen_dead(self, group: str, positions: Sequence[str] | None) -> list[DeadLetter]:
        if group not in {info.name for info in self.groups()}:
            raise NoGroup(f"group {group!r} does not exist")
        letters = self.dead_letters(group, limit=1 << 30)
        return letters if positions is None else [letter for letter in letters if letter.position in set(positions)]

    def size(self) -> tuple[int, int]:
        """As Backend says."""
        with self._errors():
            return int(self._redis.xlen(self._events)), int(cast(Any, self._redis.memory_usage(self._events)) or 0)

    def nth_oldest(self, n: int) -> str:
        """As Backend says."""
        found, start = "", "-"
        with self._errors():
            while n > 0:
                last, count = self._run("skip", [self._events], [start, min(n, _SKIP)])
                if not count:
                    break
                found, n = _text(last), n - int(count)
                start = f"({found}"
        return found

    def trim(self, up_to: str) -> int:
        """As Backend says."""
        with self._errors():
            return int(self._run("trim", [self._events, self._identity], [up_to, _after(up_to)])) if up_to else 0

    def index_blocks(self, after: int) -> list[tuple[int, bytes]]:
        """As Backend says."""
        found: list[tuple[int, bytes]] = []
        with self._errors():
            if after < 0:
                blocks = cast(dict[bytes, bytes], self._redis.hgetall(self._index))
                return sorted((int(number), block) for number, block in blocks.items())
            while (block := cast(bytes | None, self._redis.hget(self._index, str(after + 1)))) is not None:
                after += 1
                found.append((after, block))
        return found

    def index_parts(self, part: int, blocks: Sequence[int]) -> dict[int, bytes]:
        """As Backend says."""
        if not blocks:
            return {}
        with self._errors():
            found = cast(
                list[bytes | None], self._redis.hmget(self._index_parts, [f"{number}:{part}" for number in blocks])
            )
            return {number: data for number, data in zip(blocks, found, strict=True) if data is not None}

    def add_index_block(self, number: int, block: bytes, parts: Sequence[bytes]) -> bool:
        """As Backend says."""
        with self._errors():
            return bool(self._run("add_index_block", [self._index, self._index_parts], [number, block, *parts]))

    def drop_index_blocks(self, below: int | None) -> None:
        """As Backend says."""
        with self._errors():
            if below is None:
                self._redis.delete(self._index, self._index_parts)
                return
            gone = [number for number, _ in self.index_blocks(-1) if number < below]
            for number in gone:
                self._redis.hdel(self._index, str(number))
                self._redis.hdel(self._index_parts, *(f"{number}:{part}" for part in range(PARTS)))

    def warnings(self) -> list[str]:
        """What in the server's settings and state endangers the stream, each as `finding; remedy`."""
        with self._errors():
            try:
                return weaknesses(self._redis.info())
            except redis.exceptions.NoPermissionError:
                return ["its settings cannot be checked; allow the user +info (docs/redis.md)"]

    def for_child(self) -> RedisBackend:
        """As Backend says."""
        return RedisBackend(self._url)

    def close(self) -> None:
        """Cut all connections, also those that another thread is waiting on: its call raises Unavailable at once."""
        self._link.close()

    def _members(self, group: str) -> str:
        return f"{self._tag}:members:{group}"

    def _attempts(self, group: str) -> str:
        return f"{self._tag}:attempts:{group}"

    def _dead(self, group: str) -> str:
        return f"{self._tag}:dead:{group}"


def _is_for(row: Any, group: str | None) -> bool:
    """Whether an entry is for all groups, or was redriven for this one alone."""
    fields = row[1]
    return len(fields) == 2 or (group is not None and _text(fields[3]) == group)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _after(position: str) -> str:
    ms, seq = map(int, position.split("-"))
    return f"{ms}-{seq + 1}" if seq < _LAST_SEQ else f"{ms + 1}-0"


def _before(position: str) -> str:
    ms, seq = map(int, position.split("-"))
    return f"{ms}-{seq - 1}" if seq else f"{ms - 1}-{_LAST_SEQ}"
