"""Sigma's values and modifiers, as the specification has them, and what must not match."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from brain.detections.index import RuleIndex
from brain.detections.ruleset import Record, RuleSet
from brain.detections.values import Lowered, Originals
from support.detecting import KIND, loaded, matches, problems

WIDE = base64.b64encode("ping.exe".encode("utf-16-le")).decode()


@pytest.mark.parametrize(
    ("detection", "event", "expected"),
    [
        ("{a: Cat}", {"a": "cAT"}, True),
        ("{a: cat}", {"a": "cats"}, False),
        ("{a: cat}", {}, False),
        ("{a: [x, cat]}", {"a": "CAT"}, True),
        ("{a: 'c*t'}", {"a": "Carpet"}, True),
        ("{a: 'c*t'}", {"a": "carpets"}, False),
        ("{a: 'c*r*t'}", {"a": "c-t-r-t"}, True),
        ("{a: 'ab*ba'}", {"a": "aba"}, False),
        ("{a: 'c?t'}", {"a": "cut"}, True),
        ("{a: 'c?t'}", {"a": "coat"}, False),
        (r"{a: 'C:\Win\*'}", {"a": r"c:\win*"}, True),
        (r"{a: 'C:\Win\*'}", {"a": r"c:\win\calc"}, False),
        (r"{a: 'C:\Win\\*'}", {"a": r"c:\win\calc"}, True),
        ("{a: '*'}", {"a": "x"}, True),
        ("{a: '*'}", {"a": ""}, False),
        ("{a: ''}", {"a": ""}, True),
        ("{a: ''}", {}, False),
        ("{a: null}", {}, True),
        ("{a: null}", {"a": None}, True),
        ("{a: null}", {"a": "x"}, False),
        ("{a: [null, x]}", {"a": "x"}, True),
        ("{a: 443}", {"a": "443"}, True),
        ("{a: '443'}", {"a": 443}, True),
        ("{a: 443}", {"a": 443.0}, True),
        ("{a: true}", {"a": True}, True),
        ("{a: true}", {"a": "True"}, True),
        ("{a: true}", {"a": 1}, False),
        ("{a: x}", {"a": ["y", "X"]}, True),
        ("{a.b: x}", {"a": {"b": "x"}}, True),
        ("{a.b: x}", {"a.b": "x", "a": {"b": "y"}}, True),
        ("{a.b.c: x}", {"a": [{"b": {"c": "y"}}, {"b": {"c": "x"}}]}, True),
        ("{a.b.c: x}", {"a.b": {"c": "x"}}, True),
        ("{a|contains: MIDDLE}", {"a": "the middle of"}, True),
        ("{a|contains: [x, mid]}", {"a": "the middle"}, True),
        ("{a|contains|all: [the, mid]}", {"a": "the middle"}, True),
        ("{a|contains|all: [the, mud]}", {"a": "the middle"}, False),
        ("{a|contains: mid}", {"a": {"inner": "Mid"}}, True),
        ("{a|startswith: The}", {"a": "the middle"}, True),
        ("{a|startswith: mid}", {"a": "the middle"}, False),
        ("{a|endswith: [x, DLE]}", {"a": "the middle"}, True),
        ("{a|cased: Cat}", {"a": "Cat"}, True),
        ("{a|cased: Cat}", {"a": "cat"}, False),
        ("{a|contains|cased: Cat}", {"a": "a Cat"}, True),
        ("{a|contains|cased: Cat}", {"a": "a cat"}, False),
        (r"{a|re: 'c.t\d'}", {"a": "a cat7"}, True),
        (r"{a|re: 'c.t\d'}", {"a": "a CAT7"}, False),
        (r"{a|re|i: 'c.t\d'}", {"a": "a CAT7"}, True),
        (r"{a|re: '^b'}", {"a": "a\nb"}, False),
        (r"{a|re|m: '^b'}", {"a": "a\nb"}, True),
        (r"{a|re: 'a.b'}", {"a": "a\nb"}, False),
        (r"{a|re|s: 'a.b'}", {"a": "a\nb"}, True),
        ("{a|cidr: 10.0.0.0/8}", {"a": "10.9.8.7"}, True),
        ("{a|cidr: 10.0.0.0/8}", {"a": "11.9.8.7"}, False),
        ("{a|cidr: 10.0.0.0/8}", {"a": "::ffff:10.1.1.1"}, True),
        ("{a|cidr: 10.0.0.0/8}", {"a": "not an address"}, False),
        ("{a|cidr: '2001:db8::/32'}", {"a": "2001:DB8::1"}, True),
        ("{a|base64: ping}", {"a": base64.b64encode(b"ping").decode()}, True),
        ("{a|base64offset|contains: ping}", {"a": base64.b64encode(b"xx ping localhost").decode()}, True),
        ("{a|base64offset|contains: ping}", {"a": base64.b64encode(b"xx pong localhost").decode()}, False),
        ("{a|wide|base64offset|contains: ping}", {"a": f"-enc {WIDE}"}, True),
        ("{a|windash|contains: ' -f '}", {"a": "cmd /f x"}, True),
        ("{a|windash|contains: ' -f '}", {"a": "cmd f x"}, False),
        ("{a|exists: true}", {"a": None}, True),
        ("{a|exists: true}", {"b": 1}, False),
        ("{a|exists: false}", {"b": 1}, True),
        ("{a|lt: 5}", {"a": 4}, True),
        ("{a|lt: 5}", {"a": "5"}, False),
        ("{a|lte: 5}", {"a": "5"}, True),
        ("{a|gt: 5}", {"a": 5.5}, True),
        ("{a|gte: 5}", {"a": 4.9}, False),
        ("{a|gte: 5}", {"a": "five"}, False),
        ("{a|neq: x}", {"a": "y"}, True),
        ("{a|neq: x}", {"a": "X"}, False),
        ("{a|fieldref: b}", {"a": "One", "b": "one"}, True),
        ("{a|fieldref: b}", {"a": "one", "b": "two"}, False),
        ("{a|fieldref|endswith: b}", {"a": "the one", "b": "one"}, True),
        ("{a|fieldref: b}", {"a": "one"}, False),
        ("{a|hour: 7}", {"a": "2026-01-02T07:30:00Z"}, True),
        ("{a|year: 2025}", {"a": 1_767_312_000}, False),
        ("[needle, pin]", {"deep": [{"er": "a NEEDLE here"}]}, True),
        ("[needle, pin]", {"needle": "key"}, False),
        ("{'|all': [one, two]}", {"a": "one", "b": "two"}, True),
        ("{'|all': [one, two]}", {"a": "one"}, False),
        ("[{a: x}, {b: y}]", {"b": "y"}, True),
        ("{a: x, b: y}", {"b": "y"}, False),
        ("{a: '%plain%'}", {"a": "%PLAIN%"}, True),
        ("{a|contains: 'x'}", {"a": "\ud800 x"}, True),
        ("{a|re: 'x'}", {"a": "\ud800 x"}, True),
    ],
)
def test_a_value_matches_as_sigma_says(detection: str, event: dict[str, Any], expected: bool) -> None:
    assert matches(detection, event) is expected


RULE = "title: t\nlogsource: {product: test}\ndetection:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  s: {a|expand: '%admins%'}\n  condition: s\n", "placeholder %admins% is not filled"),
        ("  s: {a|nonsense: x}\n  condition: s\n", "nonsense"),
        ("  s: {a|re: '(?=x)'}\n  condition: s\n", "invalid"),
        ("  s: {a|cidr: 10.0.0.1/8}\n  condition: s\n", "10.0.0.1/8"),
        ("  s: {a: x}\n  condition: t\n", "t"),
        ("  s: {a: x}\n  condition: 1 of foo*\n", "foo*"),
        ("  s: {a: x}\n  condition: s | count() > 5\n", "pipe"),
        ("  s: {a: 2024-01-01}\n  condition: s\n", "date"),
        ("  s: {a: x}\n", "condition"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(RULE + text)), problems(RULE + text)


def test_an_event_is_only_put_to_rules_of_its_logsource() -> None:
    text = RULE + "  s: {a: x}\n  condition: not s\n"
    [rule] = loaded(text).rules
    other = Record({"a": "y"}, KIND, 1.0, "e1")
    assert [one.about.title for one in RuleSet([rule]).match(other)[0]] == ["t"]
    stranger = Record({"a": "y"}, type(KIND)(product=("other",)), 1.0, "e1")
    assert RuleSet([rule]).match(stranger) == ((), None)


def test_the_index_leaves_out_no_rule_that_matches() -> None:
    parts = [
        "alpha",
        "al",
        "beta gamma",
        "x" * 40,
        "needle",
        "a1b2c3d",
        "pha be",
        "\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}\N{SNOWMAN}man!!",
    ]
    texts = [f"{before}{part}{after}" for part in parts for before in ("", "z", "zzz", "--.-") for after in ("", "q")]
    documents = [
        RULE.replace("t\n", f"r{n}\nid: 0a5e1a52-5f0c-4c0e-9d4c-6f3f0f1b{n:04d}\n", 1)
        + f"  s: {{a|contains: '{part}'}}\n  condition: s\n"
        for n, part in enumerate(parts)
    ]
    rules = loaded("---\n".join(documents)).rules
    index = RuleIndex([rule.tree for rule in rules])
    for text in texts:
        found = index.candidates(Lowered(Originals({"a": text})))
        assert {n for n, part in enumerate(parts) if part in text} <= set(found), text
    assert index.candidates(Lowered(Originals({"a": "nothing of this", "b": "needle"}))) == []


def test_many_rules_match_as_few_do() -> None:
    documents = [
        RULE.replace("t\n", f"r{n}\nid: 0a5e1a52-5f0c-4c0e-9d4c-6f3f0f1b{n:04d}\n", 1)
        + f"  s: {{a|endswith: '-{n}'}}\n  condition: s\n"
        for n in range(60)
    ]
    rules = loaded("---\n".join(documents)).rules
    many = RuleSet(rules)
    for n in (0, 7, 59):
        found, _ = many.match(Record({"a": f"host-{n}"}, KIND, 1.0, "e"))
        assert [one.about.title for one in found] == [f"r{n}"]


def test_a_document_that_is_no_object_is_no_rule() -> None:
    assert problems("a text") == ["is no Sigma rule: write an object with title, logsource and detection"]
