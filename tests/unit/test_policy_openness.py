"""Patterns of an ALLOW that let more through than they seem to: each finding shows a text that gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.analysis import analyse
from brain.policy.open_patterns import each_open
from brain.policy.patterns import PatternError, check, matcher


def allow(pattern: str, field: str = "resource", *more: Condition, effect: str = "ALLOW") -> Rule:
    held = [Condition(field, "matches", pattern), *more]  # type: ignore[arg-type]
    return Rule(id="r", name="r", effect=effect, conditions=held)  # type: ignore[arg-type]


def shown(rule: Rule) -> dict[str, str]:
    return {one.kind: one.message for one in analyse([rule], 0) if one.kind.startswith("open-")}


@pytest.mark.parametrize(
    ("pattern", "kind", "text"),
    [
        ("orders/[0-9]+", "open-end", "orders/1/../../secrets"),
        ("orders/", "open-end", "orders/../../secrets"),
        ("orders/.*", "open-end", "orders/x/../../secrets"),
        (r"^orders/[\w-]+/items", "open-end", "orders/1/items/../../secrets"),
        ("a$|b", "open-end", "b/../../secrets"),
        ("(?i)(?:db|orders)/x", "open-end", "db/x/../../secrets"),
        ("^(?:a$|bc)", "open-end", "bc/../../secrets"),
        ("read(?:$|:)", "open-end", "read:/../../secrets"),
        ("(?:x/[0-9]+|.*b)$", "open-start", "secrets/../xb"),
        (r"(\pL+)", "open-end", "a/../../secrets"),
        (r"report-\x{41}", "open-end", "report-A/../../secrets"),
        (r"\P{Latin}+/a", "open-end", "1/a/../../secrets"),
        (r"orders\$", "open-end", "orders$/../../secrets"),
        ("a{2,3}b?", "open-end", "aab/../../secrets"),
        ("[[:alpha:]]+", "open-end", "a/../../secrets"),
        (r".*\.txt$", "open-start", "secrets/../x.txt"),
        ("^.*/public/[a-z]+$", "open-start", "secrets/../x/public/a"),
        (".+", "open-start", "secrets/../x"),
    ],
)
def test_an_open_pattern_is_found_with_a_text_that_gets_through(pattern: str, kind: str, text: str) -> None:
    rule = allow(pattern)
    assert repr(text) in shown(rule)[kind]
    engine = PolicyEngine()
    engine.add_rule(rule)
    assert engine.evaluate({"resource": text}).allowed
    assert shown(allow(pattern, effect="DENY")) == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "orders/[0-9]+$",
        r"orders/[0-9]+\z",
        "^(?:db|orders)/x$",
        r"(orders/\d{3})$",
        "orders/[^/]+$",
        "orders/.*$",
        "(?s)orders/.*$",
        ".*",
        "read(er)?$",
    ],
)
def test_an_anchored_pattern_is_none(pattern: str) -> None:
    assert shown(allow(pattern)) == {}


def test_what_another_condition_of_the_field_keeps_out_is_not_shown() -> None:
    closed = Condition("resource", "matches", "orders/[^/]*$")  # type: ignore[arg-type]
    assert shown(allow("orders/[0-9]+", "resource", closed)) == {}
    assert repr("read-and-anything") in shown(allow("read", "action"))["open-end"]


@given(pattern=st.text(alphabet="ab/.*+?()[]|^$\\d-{2}x", max_size=12))
def test_nothing_is_claimed_that_is_not_so(pattern: str) -> None:
    try:
        check(pattern)
    except PatternError:
        return
    for _, text in each_open(pattern, True, matcher(pattern)):
        assert matcher(pattern)(text)
