"""How rules are stored: short, read without a check where this version wrote them, and by earlier versions too."""

from __future__ import annotations

import random
from zlib import crc32

import msgspec

from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.codec import decoded, encoded, is_sealed, unsealed
from brain.store import DocumentChange
from brain.store.memory import MemoryStore

PLAIN = Rule(id="r", name="R", effect="DENY")
FULL = Rule(
    id="r",
    name="R",
    effect="WARN",
    conditions=[Condition("action", "in", ["a", "b"])],
    priority=3,
    enabled=False,
    description="d",
    metadata={"owner": {"team": "x"}},
    mode="shadow",
    tags=["t"],
    not_before=1.0,
    expires_at=2.0,
)


def test_defaults_are_not_written_and_all_is_read_again() -> None:
    text, trusted = unsealed(encoded(PLAIN))
    assert trusted
    assert is_sealed(encoded(PLAIN))
    assert msgspec.json.decode(text) == {"id": "r", "name": "R", "effect": "DENY", "conditions": []}
    for rule in (PLAIN, FULL):
        assert decoded("r", encoded(rule)) == rule
        assert Rule.from_dict(msgspec.json.decode(unsealed(encoded(rule))[0])) == rule, "as an earlier version reads it"


def test_documents_of_the_format_before_are_trusted_and_broken_ones_are_not() -> None:
    text = msgspec.json.encode(FULL)
    before = b"%b\n1:%08x" % (text, crc32(text))
    assert unsealed(before) == (text, True)
    assert decoded("r", before) == FULL
    assert unsealed(b"%b\n3:%08x" % (text, crc32(text))) == (text, False)
    assert unsealed(b"%b\n2:%08x" % (text, crc32(text) ^ 1)) == (text, False)


def test_a_large_document_in_memory_is_given_back_as_it_was() -> None:
    store = MemoryStore()
    data = random.Random(1).randbytes(100_000)
    store.write([DocumentChange("large", "a", data), DocumentChange("large", "b", b"small")])
    found = store.get("large", "a")
    assert found is not None
    assert found.data == data
    assert type(found.data) is bytes
    for documents in (store.scan("large"), store.read("large").documents):
        assert [(one.key, one.data) for one in documents] == [("a", data), ("b", b"small")]


def test_a_version_of_many_rules_is_read_again() -> None:
    rules = [Rule(id=f"rule-{number}", name="R", effect="ALLOW", priority=number) for number in range(1_000)]
    with PolicyEngine() as engine:
        engine.import_rules(rules, by="me")
        engine.import_rules([], replace_all=True)
        assert [change.new for change in engine.versions()[1].changes] == rules
        assert {rule.id: rule for rule in engine.rules_at(1)} == {rule.id: rule for rule in rules}
        assert [change.old for change in engine.versions()[0].changes] == rules
