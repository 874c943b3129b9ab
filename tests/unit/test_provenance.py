from __future__ import annotations

import pytest

from brain import Condition, PolicyEngine, Rule
from brain.charter.context import correlation
from brain.policy.guards import ActionDenied, Guard
from brain.policy.provenance import Provenance, ToolFacts

TOOLS = {
    "read_mail": ToolFacts(returns=("untrusted",)),
    "send_mail": ToolFacts(destinations=("to", "cc")),
    "pay": ToolFacts(destinations=("iban",)),
    "reserve": ToolFacts(asked_by=("reserve", "book"), subject=("hotel",)),
}


def _new(words: str, tool: str, **params: object) -> bool:
    provenance = Provenance(TOOLS, own=["anna@example.org; CA13 3012 4002 3121 5421 872"])
    provenance.begin("r", words)
    found: bool = provenance.facts("r", tool, params)["destination_new"]
    return found


@pytest.mark.parametrize(
    ("words", "to", "new"),
    [
        ("write to Jay@Google.com.", "jay@google.com", False),
        ("write to notjay@google.com", "jay@google.com", True),
        ("write to jay@google.com.evil.example", "jay@google.com", True),
        ("nothing", ["anna@example.org"], False),
        ("nothing", ["anna@example.org", "eve@example.org"], True),
        ("see our.example.They wait", "https://www.our.example", False),
    ],
)
def test_a_destination_is_known_by_itself_alone(words: str, to: object, new: bool) -> None:
    assert _new(words, "send_mail", to=to) is new


def test_an_account_number_is_known_however_it_is_grouped() -> None:
    assert not _new("", "pay", iban="CA133012400231215421872")
    assert _new("", "pay", iban="CA133012400231215421873")


def test_a_guard_keeps_labels_and_what_a_tool_returned_is_no_word_of_the_user() -> None:
    engine = PolicyEngine()
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    deny = [Condition("labels", "contains", "untrusted"), Condition("asked", "==", False)]
    engine.add_rule(Rule(id="not-asked", name="Not asked", effect="DENY", priority=9, conditions=deny))
    provenance = Provenance(TOOLS)
    provenance.begin("r1", "Please book the Ritz")
    guard = Guard(engine, agent="a", provenance=provenance)
    with correlation("r1"):
        assert guard.check("reserve", params={"hotel": "Elsewhere"}).allowed
        guard.check("read_mail")
        assert guard.check("reserve", params={"hotel": "Ritz"}).allowed
        with pytest.raises(ActionDenied):
            guard.check("reserve", params={"hotel": "Elsewhere"})
    with pytest.raises(ActionDenied):  # of a request that nobody began nothing was asked
        guard.check("reserve", params={"hotel": "Ritz"})
