"""How rules are written into documents, and read again.

A document that this version has written ends with a seal: the number of its format and a checksum. Its rule was checked
when it was made, so reading it makes no check twice. What has no such seal, from an earlier version or another hand, is
checked whole. What a rule leaves as it is by default is not written: most of a document would be that.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any
from zlib import crc32

import msgspec

from brain.errors import InvalidInput
from brain.policy.models import Condition, Rule, shared
from brain.policy.structs import struct_of
from brain.policy.values import NO_MEMBERS, FrozenList, freeze
from brain.typed import ready

RULES = "policy.rules"
MEASURES = "policy.measures"

MARKER = "/measures-apart"
"""The key of a document beside the rules that earlier versions cannot read, and so do not start.

They would read rules that one of them has stored, but not the measures, which are no longer among these."""

_FORMAT = b"2"
"""Raise it whenever Rule begins to refuse what it took before: then what is stored is checked once more."""
_TRUSTED = (b"\n1", b"\n2")
"""How seals of formats begin whose rules were checked as they would be now. Format 1 wrote defaults too."""
_SEAL = len(b"\n1:00000000")
_ANY_SEAL = re.compile(rb"\n\d+:[0-9a-f]{8}\Z")

_encode = msgspec.json.Encoder().encode
_defaults = {field.name: field.default for field in fields(Rule) if field.default not in (MISSING, NO_MEMBERS)}
_defaults |= {"tags": NO_MEMBERS}  # and not the conditions: that there are none is said

_StoredCondition: Any = struct_of(Condition, "StoredCondition")
StoredRule: Any = struct_of(Rule, "StoredRule", defaults=_defaults, conditions=list[_StoredCondition])
"""A rule as a sealed document holds it."""

_decode = msgspec.json.Decoder(ready(StoredRule)).decode
_new = object.__new__
_condition_slots = [(name, getattr(Condition, name).__set__) for name in Condition.__dataclass_fields__]
_names = tuple(Rule.__dataclass_fields__)
_rule_slots = [(name, getattr(Rule, name).__set__) for name in Rule.__dataclass_fields__]


def sealed(data: bytes) -> bytes:
    """The document's text with its seal."""
    return b"%b\n%b:%08x" % (data, _FORMAT, crc32(data))


def unsealed(data: bytes) -> tuple[bytes, bool]:
    """The document's text, and whether its seal says that this version has written it so."""
    text, seal = data[:-_SEAL], data[-_SEAL:]
    if seal[:2] in _TRUSTED and seal[2:] == b":%08x" % crc32(text):
        return text, True
    return _ANY_SEAL.sub(b"", data), False


def is_sealed(data: bytes) -> bool:
    """Whether the document ends as one that this version, or a later one, has written."""
    return data[-_SEAL : -_SEAL + 1] == b"\n"


def is_rule(key: str) -> bool:
    """Whether the document of that key among the rules is one: the id of a rule has no `/`."""
    return not key.startswith("/")


def encoded(rule: Rule) -> bytes:
    """The rule's document."""
    return sealed(_encode(shortened(rule)))


def shortened(rule: Rule) -> dict[str, Any]:
    """What is written of a rule: its fields without those that are as they are by default."""
    found = ((name, getattr(rule, name)) for name in _names)
    return {name: value for name, value in found if name not in _defaults or value != _defaults[name]}


def decoded(key: str, data: bytes) -> Rule:
    """The rule in the document. Raises InvalidInput, naming the key, when it is not valid or has another id."""
    text, trusted = unsealed(data)
    try:
        rule = trusted_rule(_decode(text)) if trusted else Rule.from_dict(msgspec.json.decode(text))
    except (msgspec.DecodeError, InvalidInput, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(f"stored rule {key!r} cannot be read: {error}; {_remedy(key)}") from error
    if rule.id != key:
        raise InvalidInput(f"stored rule {key!r} cannot be read: id: it says {rule.id!r}; {_remedy(key)}")
    return rule


def _remedy(key: str) -> str:
    return f"`brain policy delete {key}` removes it"


def trusted_rule(stored: Any) -> Rule:
    """The rule of a StoredRule, without any check."""
    rule = _new(Rule)
    for name, put in _rule_slots:
        put(rule, getattr(stored, name))
    _set_conditions(rule, FrozenList(map(_trusted_condition, stored.conditions)) if stored.conditions else NO_MEMBERS)
    _set_metadata(rule, freeze(stored.metadata))
    _set_tags(rule, FrozenList(stored.tags) if stored.tags else NO_MEMBERS)
    return rule


def _trusted_condition(stored: Any) -> Condition:
    condition = _new(Condition)
    for name, put in _condition_slots:
        put(condition, getattr(stored, name))
    if isinstance(stored.value, (list, dict)):
        _set_value(condition, freeze(stored.value))
    return shared(condition)


_set_conditions, _set_metadata, _set_tags = (dict(_rule_slots)[name] for name in ("conditions", "metadata", "tags"))
_set_value = dict(_condition_slots)["value"]
