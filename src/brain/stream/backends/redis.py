"""The stream on Redis Streams (Redis 7 or newer, or Valkey).

One stream key holds all events; a group is a consumer group on it. All keys share the hash tag `{brain}`, so that the
scripts below work on a Cluster. Memberships, attempts, marks and dead letters are hashes beside it.
Commands: https://redis.io/docs/latest/commands/?group=stream. How to size and run it: docs/redis.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import redis

from brain.errors import Unavailable
from brain.stream.backends import DeadLetter, Entry, Fenced, GroupInfo, Held, MarkMismatch, NoGroup, position_key
from brain.stream.backends.redis_client import connect
from brain.stream.backends.redis_scripts import SCRIPTS

EVENTS = "{brain}:events"
MARKS = "{brain}:marks"
PATTERNS = "{brain}:patterns"
_LAST_SEQ = (1 << 64) - 1
_MAX_ACK = 1000  # positions an acknowledging script is given at once; Lua's stack bounds it


class RedisBackend:
    """Thread-safe through the client's connection pool."""

    durable = False
    """Redis may come back empty (no append-only file): what was stored there counts as safe only when consumed."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)
        for command in ("XREADGROUP", "XREAD", "XRANGE", "XREVRANGE"):
            self._redis.set_response_callback(command, _raw)
        self._scripts = {name: self._redis.register_script(text) for name, text in SCRIPTS.items()}

    def append(self, producer: str, previous: str, mark: str, records: Sequence[bytes]) -> list[str]:
        with _errors():
            ids = self._run("append", [EVENTS, MARKS], [producer, previous, mark, *records])
            return [position.decode() for position in ids]

    def mark(self, producer: str) -> str:
        with _errors():
            return _text(self._redis.hget(MARKS, producer) or b"")

    def forget(self, producer: str) -> None:
        with _errors():
            self._redis.hdel(MARKS, producer)

    def read(self, after: str, limit: int) -> list[Entry]:
        found: list[Entry] = []
        while len(found) < limit:
            with _errors():
                rows = cast(Any, self._redis.xrange(EVENTS, f"({after}" if after else "-", "+", limit - len(found)))
            if not rows:
                break
            after = rows[-1][0].decode()
            found += [Entry(position.decode(), fields[1]) for position, fields in rows if len(fields) == 2]
        return found

    def read_back(self, before: str, limit: int) -> list[Entry]:
        found: list[Entry] = []
        while len(found) < limit:
            with _errors():
                rows = cast(
                    Any, self._redis.xrevrange(EVENTS, f"({before}" if before else "+", "-", limit - len(found))
                )
            if not rows:
                break
            before = rows[-1][0].decode()
            found += [Entry(position.decode(), fields[1]) for position, fields in rows if len(fields) == 2]
        return found

    def tail(self) -> str:
        with _errors():
            try:
                last = _text(cast(Any, self._redis.xinfo_stream(EVENTS))["last-generated-id"])
            except redis.ResponseError as error:
                if "no such key" in str(error):
                    return ""
                raise
            return "" if last == "0-0" else last

    def position_at(self, unix_seconds: float) -> str:
        return f"{max(0, int(unix_seconds * 1000))}-0"

    def wait(self, after: str, timeout: float) -> bool:
        with _errors():
            return bool(self._redis.xread({EVENTS: after or "0-0"}, count=1, block=max(1, int(timeout * 1000))))

    def create_group(self, group: str, pattern: str, start: str) -> None:
        with _errors():
            try:
                self._redis.xgroup_create(EVENTS, group, start or "0-0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise
            self._redis.hset(PATTERNS, group, pattern)

    def drop_group(self, group: str) -> None:
        with _errors():
            if not self._redis.xgroup_destroy(EVENTS, group):
                raise NoGroup(f"group {group!r} does not exist")
            self._redis.hdel(PATTERNS, group)
            self._redis.delete(_members(group), _attempts(group), _dead(group))

    def groups(self) -> list[GroupInfo]:
        with _errors():
            try:
                rows = self._redis.xinfo_groups(EVENTS)
            except redis.ResponseError as error:
                if "no such key" in str(error):
                    return []
                raise
            patterns = cast(dict[bytes, bytes], self._redis.hgetall(PATTERNS))
            return [self._group_info(row, _text(patterns.get(row["name"], b"*"))) for row in rows]

    def _group_info(self, row: dict[str, Any], pattern: str) -> GroupInfo:
        name, read_to = _text(row["name"]), _text(row["last-delivered-id"])
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.xpending(EVENTS, name)
            pipe.hlen(_dead(name))
            pipe.hlen(_members(name))
            pending, dead, members = pipe.execute()
        lag = row.get("lag")
        if lag is None:  # Redis cannot tell after some trims; then up to 10,000 are counted
            lag = len(cast(Any, self._redis.xrange(EVENTS, f"({read_to}", "+", 10_000)))
        return GroupInfo(
            name=name,
            pattern=pattern,
            read_to="" if read_to == "0-0" else read_to,
            safe=_before(_text(pending["min"])) if pending["pending"] else ("" if read_to == "0-0" else read_to),
            lag=int(lag),
            pending=int(pending["pending"]),
            dead=int(dead),
            consumers=int(members),
        )

    def join(self, group: str, consumer: str) -> None:
        with _errors():
            self._run("join", [EVENTS, _members(group)], [group, consumer])

    def beat(self, group: str, consumer: str) -> dict[str, int]:
        with _errors():
            rows = self._run("beat", [EVENTS, _members(group)], [group, consumer])
            return {_text(name): int(beat) for name, beat in zip(rows[::2], rows[1::2], strict=True)}

    def expel(self, group: str, consumer: str, beat: int | None = None) -> None:
        with _errors():
            self._run("expel", [_members(group)], [consumer, "" if beat is None else beat])

    def take_over(self, group: str, consumer: str) -> list[Held]:
        with _errors():
            rows = self._run("take_over", [EVENTS, _members(group), _attempts(group)], [group, consumer])
            return [Held(_text(position), data, int(attempts)) for position, data, attempts in rows]

    def fetch(self, group: str, consumer: str, limit: int) -> list[Entry]:
        with _errors():
            while True:
                with self._redis.pipeline(transaction=True) as pipe:
                    pipe.hexists(_members(group), consumer)
                    pipe.xreadgroup(group, consumer, {EVENTS: ">"}, count=limit)
                    member, streams = pipe.execute()
                if not member:  # what was just handed out belongs to no member, so another one takes it over
                    raise Fenced(f"group {group!r}: {consumer} is no member any more")
                rows = streams[0][1] if streams else []
                foreign = [row[0] for row in rows if len(row[1]) > 2 and _text(row[1][3]) != group]
                if foreign:
                    self._redis.xack(EVENTS, group, *foreign)
                    rows = [row for row in rows if row[0] not in set(foreign)]
                if rows or not streams:
                    return [Entry(position.decode(), fields[1]) for position, fields in rows]

    def ack(self, group: str, consumer: str, positions: Sequence[str]) -> None:
        with _errors():
            for start in range(0, len(positions), _MAX_ACK):
                keys = [EVENTS, _members(group), _attempts(group)]
                self._run("ack", keys, [group, consumer, *positions[start : start + _MAX_ACK]])

    def count_attempt(self, group: str, position: str) -> int:
        with _errors():
            return int(self._run("count_attempt", [EVENTS, _attempts(group)], [group, position]))

    def bury(self, letter: DeadLetter, consumer: str) -> None:
        with _errors():
            keys = [EVENTS, _members(letter.group), _attempts(letter.group), _dead(letter.group)]
            self._run("bury", keys, [letter.group, consumer, letter.position, msgspec.msgpack.encode(letter)])

    def dead_letters(self, group: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        with _errors():
            names = [group] if group is not None else [info.name for info in self.groups()]
            found = [
                msgspec.msgpack.decode(packed, type=DeadLetter)
                for name in names
                for packed in cast(dict[bytes, bytes], self._redis.hgetall(_dead(name))).values()
            ]
            return sorted(found, key=lambda letter: (letter.buried_at, position_key(letter.position)))[:limit]

    def redrive(self, group: str, positions: Sequence[str] | None = None) -> int:
        count = 0
        for letter in self._chosen_dead(group, positions):
            with _errors():
                count += int(self._run("redrive", [EVENTS, _dead(group)], [group, letter.position, letter.data]))
        return count

    def discard(self, group: str, positions: Sequence[str] | None = None) -> int:
        chosen = [letter.position for letter in self._chosen_dead(group, positions)]
        with _errors():
            return int(self._redis.hdel(_dead(group), *chosen)) if chosen else 0

    def _chosen_dead(self, group: str, positions: Sequence[str] | None) -> list[DeadLetter]:
        if group not in {info.name for info in self.groups()}:
            raise NoGroup(f"group {group!r} does not exist")
        letters = self.dead_letters(group, limit=1 << 30)
        return letters if positions is None else [letter for letter in letters if letter.position in set(positions)]

    def size(self) -> tuple[int, int]:
        with _errors():
            return int(self._redis.xlen(EVENTS)), int(cast(Any, self._redis.memory_usage(EVENTS)) or 0)

    def nth_oldest(self, n: int) -> str:
        with _errors():
            rows = cast(Any, self._redis.xrange(EVENTS, "-", "+", n))
            return _text(rows[-1][0]) if rows else ""

    def trim(self, up_to: str) -> int:
        with _errors():
            return int(self._redis.xtrim(EVENTS, minid=_after(up_to), approximate=False)) if up_to else 0

    def close(self) -> None:
        self._redis.close()

    def _run(self, script: str, keys: list[str], args: Sequence[Any]) -> Any:
        return self._scripts[script](keys=keys, args=args)


@contextmanager
def _errors() -> Iterator[None]:
    """Redis' errors as ours; a script's own refusal starts with its name."""
    try:
        yield
    except redis.ResponseError as error:
        text = str(error)
        if text.startswith("MARK"):
            raise MarkMismatch(text[5:]) from None
        if text.startswith("FENCED"):
            raise Fenced(text[7:]) from None
        if any(sign in text for sign in ("NOGROUP", "requires the key to exist", "no such key")):
            raise NoGroup("the consumer group does not exist on Redis") from None
        raise Unavailable(f"Redis refused a command: {text}") from error
    except redis.RedisError as error:
        raise Unavailable(f"Redis does not answer: {error}") from error


def _members(group: str) -> str:
    return f"{{brain}}:members:{group}"


def _attempts(group: str) -> str:
    return f"{{brain}}:attempts:{group}"


def _dead(group: str) -> str:
    return f"{{brain}}:dead:{group}"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _after(position: str) -> str:
    ms, seq = map(int, position.split("-"))
    return f"{ms}-{seq + 1}" if seq < _LAST_SEQ else f"{ms + 1}-0"


def _before(position: str) -> str:
    ms, seq = map(int, position.split("-"))
    return f"{ms}-{seq - 1}" if seq else f"{ms - 1}-{_LAST_SEQ}"


def _raw(response: Any, **_: object) -> Any:
    return response
