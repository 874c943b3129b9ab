"""Approvals by several, by named ones, and by their delegates."""

from __future__ import annotations

from typing import Any

import pytest

from brain import Principal, acting
from brain.errors import Conflict, Forbidden, InvalidInput
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.approvals import Approval, ApprovalStatus
from brain.policy.approvers import MAX_TIMEOUT, approvers_of
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream

CONTEXT = {"agent_id": "a1", "action": "pay"}


class Case:
    """An engine with a rule of this metadata, and a request that it asks for."""

    def __init__(self, **metadata: Any) -> None:
        self.stream = RecordingStream()
        self.engine = PolicyEngine(self.stream, store=MemoryStore(), follow_interval=None)
        rule = Rule(id="pay", name="Pay", effect=Effect.AUDIT, metadata={"requires_approval": True, **metadata})
        self.engine.add_rule(rule)

    def request(self) -> Approval:
        return self.engine.approvals.request(self.engine.evaluate(CONTEXT), CONTEXT)

    def grant(self, approval: Approval, who: str, by: str = "x", how: str = "key") -> ApprovalStatus:
        with acting(Principal(name=who, kind="person", how=how)):
            return self.engine.approvals.grant(approval.id, by=by).status


def test_two_different_ones_must_agree() -> None:
    case = Case(approvers=2)
    asked = case.request()
    assert case.grant(asked, "ada") is ApprovalStatus.PENDING
    with pytest.raises(Conflict, match="agreed already"):
        case.grant(asked, "ada", by="bob")
    assert case.engine.approvals.use(asked.id) is False
    assert case.grant(asked, "eve") is ApprovalStatus.GRANTED
    with pytest.raises(Conflict, match="GRANTED already"):
        case.grant(asked, "mia")
    names = [event.type for event in case.stream.events if "approval" in event.type]
    assert names == ["policy.approval_requested", "policy.approval_agreed", "policy.approval_granted"]
    assert [grant.by for grant in case.engine.approvals.get(asked.id).grants] == ["ada", "eve"]
    assert case.engine.approvals.use(asked.id) is True


def test_one_no_is_enough() -> None:
    case = Case(approvers=2)
    asked = case.request()
    case.grant(asked, "ada")
    assert case.engine.approvals.refuse(asked.id, by="bob").status is ApprovalStatus.REFUSED


def test_the_shared_key_is_one_whatever_names_are_given_with_it() -> None:
    case = Case(approvers=2)
    asked = case.request()
    assert case.grant(asked, "BRAIN_API_KEY", by="ada") is ApprovalStatus.PENDING
    with pytest.raises(Conflict, match="agreed already"):
        case.grant(asked, "BRAIN_API_KEY", by="bob")
    assert case.grant(asked, "eve") is ApprovalStatus.GRANTED


def owned(name: str, owner: str) -> Principal:
    return Principal(name=name, kind="person", how="key", owner=owner)


def test_a_person_with_a_key_and_a_log_in_agrees_once() -> None:
    case = Case(approvers=2)
    asked = case.request()
    assert case.grant(asked, "ada@example.org", how="oidc") is ApprovalStatus.PENDING
    with acting(owned("ada-laptop", "ada@example.org")), pytest.raises(Conflict, match=r"ada@example\.org has agreed"):
        case.engine.approvals.grant(asked.id, by="ada-laptop")
    with acting(owned("bob-laptop", "bob@example.org")):
        assert case.engine.approvals.grant(asked.id, by="bob-laptop").status is ApprovalStatus.GRANTED
    with pytest.raises(Conflict, match=r"GRANTED already by bob@example\.org"):
        case.grant(asked, "bob@example.org", how="oidc")
    assert [grant.by for grant in case.engine.approvals.get(asked.id).grants] == ["ada@example.org", "bob@example.org"]
    (granted,) = case.stream.get_events_by_type("policy.approval_granted")
    assert granted.payload["by"] == "bob@example.org"
    assert granted.meta["principal"]["name"] == "bob-laptop"
    assert "on_behalf_of" not in granted.meta


@pytest.mark.parametrize("asker", [owned("ada-ci", "ada"), Principal(name="ada", kind="person", how="oidc")])
def test_who_asked_does_not_grant_with_another_key(asker: Principal) -> None:
    case = Case()
    with acting(asker):
        asked = case.request()
    assert asked.requested_by == "ada"
    for who in (owned("ada-ci", "ada"), owned("other", "ada"), Principal(name="ada", kind="person", how="oidc")):
        with acting(who), pytest.raises(Forbidden, match="ada asked for it"):
            case.engine.approvals.grant(asked.id, by="x")
    with acting(owned("a1", "eve")), pytest.raises(Forbidden, match="another one must"):
        case.engine.approvals.grant(asked.id, by="x")  # the key is named as the agent
    assert case.grant(asked, "eve") is ApprovalStatus.GRANTED


def test_a_key_agrees_for_its_owner_where_owners_are_named() -> None:
    case = Case(approved_by=["ada"], delegates={"ada": ["eve"]})
    asked = case.request()
    with acting(owned("ada", "mallory")), pytest.raises(Forbidden, match="mallory may not agree"):
        case.engine.approvals.grant(asked.id, by="ada")
    with acting(owned("laptop", "eve")):
        assert case.engine.approvals.grant(asked.id, by="laptop").grants[0].place == "ada"
    again = case.request()
    with acting(owned("ada", "eve")):  # the key is named as the one for whom it counts
        case.engine.approvals.grant(again.id, by="ada")
    granted = case.stream.get_events_by_type("policy.approval_granted")
    assert [event.meta["on_behalf_of"] for event in granted] == ["ada", "ada"]


def test_who_asked_with_the_shared_key_does_not_grant_with_it() -> None:
    case = Case()
    with acting(Principal(name="BRAIN_API_KEY", how="key")):
        asked = case.request()
    with pytest.raises(Forbidden, match="another one must"):
        case.grant(asked, "BRAIN_API_KEY", by="bob")
    assert case.grant(asked, "eve") is ApprovalStatus.GRANTED


def test_named_ones_and_their_delegates() -> None:
    case = Case(approvers=2, approved_by=["ada", "bob"], delegates={"ada": ["eve"], "bob": ["eve"]})
    asked = case.request()
    for stranger in ("mia", "BRAIN_API_KEY"):
        with pytest.raises(Forbidden, match="ada, bob"):
            case.grant(asked, stranger, by="ada")
    assert case.grant(asked, "eve") is ApprovalStatus.PENDING
    event = case.stream.get_events_by_type("policy.approval_agreed")[0]
    assert (event.payload["by"], event.meta["on_behalf_of"]) == ("eve", "ada")
    with pytest.raises(Conflict):
        case.grant(asked, "eve")
    with pytest.raises(Conflict):
        case.grant(asked, "ada")
    assert case.grant(asked, "bob") is ApprovalStatus.GRANTED


BAD_METADATA = (
    ({"approvers": 0}, "approvers"),
    ({"approvers": True}, "approvers"),
    ({"approvers": 2, "approved_by": ["ada"]}, "approvers"),
    ({"approvers": 2, "approved_by": ["ada", "ada"]}, "approvers"),
    ({"approved_by": "ada"}, "approved_by"),
    ({"delegates": {"ada": "bob"}}, "delegates"),
)


def test_bad_metadata_of_an_earlier_release_lets_nothing_through() -> None:
    for metadata, field in BAD_METADATA:
        with pytest.raises(InvalidInput, match=f"^{field}:.*; change the rule$"):
            approvers_of(metadata)


def test_no_rule_is_made_with_bad_metadata() -> None:
    for metadata, field in (
        *BAD_METADATA,
        ({"requires_approval": "false"}, "requires_approval"),
        ({"requires_approval": 1}, "requires_approval"),
        ({"approval_timeout": 0}, "approval_timeout"),
        ({"approval_timeout": True}, "approval_timeout"),
        ({"approval_timeout": MAX_TIMEOUT + 1}, "approval_timeout"),
    ):
        with pytest.raises(InvalidInput, match=rf"rule 'pay' is not valid: metadata\.{field}: "):
            Case(**metadata)
    assert Case(approval_timeout=MAX_TIMEOUT, approvers=20).request().approvers.needed == 20
