"""The messages of Singer taps: exact numbers, opaque STATE, keys, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from brain.errors import InvalidInput
from brain.links.singer import Record, State, StreamSchema, content_of, in_64_bits, key_of, read_message


def record(text: str, decimals: str = "text") -> Record:
    found = read_message(f'{{"type":"RECORD","stream":"s","record":{text}}}'.encode(), decimals)
    assert isinstance(found, Record)
    return found


def test_numbers_keep_their_digits() -> None:
    big = "123456789012345678901234567890"
    values = in_64_bits(record(f'{{"a":12.10,"b":1E-30,"c":7,"d":{big},"e":[0.1,-0.0],"f":true}}').values)
    assert values == {"a": "12.10", "b": "1E-30", "c": 7, "d": big, "e": ["0.1", "-0.0"], "f": True}
    assert record('{"a":12.10}', "number").values == {"a": 12.1}


def test_state_is_given_back_as_it_came() -> None:
    found = read_message(b'{"type": "STATE", "value": {"bookmarks": {"at": 12.10, "big": 9007199254740993} } }')
    assert found == State('{"bookmarks": {"at": 12.10, "big": 9007199254740993} }')


def test_schema() -> None:
    line = {
        "type": "SCHEMA",
        "stream": "s",
        "schema": {"properties": {"a": {"type": ["null", "string", "integer"]}, "b": {"type": "array"}, "c": {}}},
        "key_properties": ["a"],
        "bookmark_properties": None,
    }
    found = read_message(msgspec.json.encode(line))
    assert found == StreamSchema("s", {"a": "integer|string", "b": "array", "c": "any"}, ["a"], [])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"Traceback", "is no JSON"),
        (b'{"type":"BATCH","stream":"s","manifest":["file:///etc/passwd"]}', "BATCH: is not read"),
        (b'{"type":"NEWS"}', "'NEWS' is none of"),
        (b"[]", "None is none of"),
        (b'{"type":"RECORD","stream":"s"}', "record must be an object"),
        (b'{"type":"RECORD","record":{}}', "stream is missing"),
        (b'{"type":"STATE"}', "value is missing"),
        (b'{"type":"SCHEMA","stream":"s","schema":{}}', "properties is missing"),
        (b'{"type":"RECORD","stream":"\xff","record":{}}', "is no JSON"),
    ],
)
def test_a_line_that_is_refused(line: bytes, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        read_message(line)


def test_lines_without_a_meaning_here() -> None:
    assert read_message(b"\n") is None
    assert read_message(b'{"type":"ACTIVATE_VERSION","stream":"s","version":1}') is None


def test_what_a_record_is_known_by() -> None:
    one, later, other = (record(text) for text in ('{"id":1,"at":"x","v":1}', '{"id":1,"at":"y","v":1}', '{"id":1}'))
    marked = StreamSchema("s", {}, ["id"], ["at"])
    keyed, plain = StreamSchema("s", {}, ["id"], []), StreamSchema("s", {}, [], [])
    assert key_of(one, marked, "hash") == ("s 1 x", "1")
    assert key_of(one, marked, "hash") != key_of(later, marked, "hash")
    assert key_of(other, marked, "hash") == ("s 1 hash", "1")  # no bookmark in it
    assert key_of(one, keyed, "hash") == ("s 1 hash", "1")
    assert key_of(one, plain, "hash") == ("s sha256:hash", None)
    assert content_of({"a": 1, "b": 2}) == content_of({"b": 2, "a": 1})
