"""Links of approvals: what each is bound to, and who may use it."""

from __future__ import annotations

import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from brain import Principal, acting
from brain.approvals.answers import Answers, Opened
from brain.approvals.links import COLLECTION as SECRETS
from brain.approvals.links import KEY, PREFIX, Links
from brain.approvals.sending import message
from brain.connectors.email import mail_of
from brain.connectors.slack import content, slack_message
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.approvals import COLLECTION, Approval
from brain.policy.asked import PolicyApprovals
from brain.redaction import redacted
from brain.store import DocumentChange
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from support.clock import Clock


class Case:
    """Requests of a rule with this metadata, and links for ada, bob and eve."""

    def __init__(self, **metadata: Any) -> None:
        self.clock, self.stream, self.store = Clock(), RecordingStream(), MemoryStore()
        self.engine = PolicyEngine(self.stream, store=self.store, clock=self.clock, follow_interval=None)
        metadata = {"requires_approval": True, **metadata}
        self.engine.add_rule(Rule(id="pay", name="Pay", effect=Effect.AUDIT, conditions=[], metadata=metadata))
        self.requests = PolicyApprovals(lambda: self.engine, lambda: None)
        self.links = Links(self.store)
        self.people = {"ada", "bob", "eve", "a1"}
        self.answers = Answers(self.links, self.requests, self.people, self.stream, self.clock)

    def ask(self, by: str | None = None, action: str = "pay") -> Approval:
        context = {"agent_id": "a1", "action": action, "params": {"password": "x-1234567"}}
        decision = self.engine.evaluate(context)
        if by is None:
            return self.engine.approvals.request(decision, context)
        with acting(Principal(name=by, kind="person", how="key")):
            return self.engine.approvals.request(decision, context)

    def token(self, approval: Approval, name: str = "ada") -> str:
        return self.links.token(self.requests.look(approval.id), name)

    def give(self, token: str, *, agree: bool = True) -> Opened:
        return self.answers.answer(token, agree=agree, reason="")

    def refused(self) -> list[dict[str, Any]]:
        return [event.payload for event in self.stream.get_events_by_type("approval.link_refused")]

    def change(self, approval: Approval, **changes: Any) -> None:
        document = self.store.get(COLLECTION, approval.id)
        assert document is not None
        data = msgspec.json.encode(msgspec.structs.replace(approval, **changes))
        self.store.write([DocumentChange(COLLECTION, approval.id, data, document.version)])


def test_a_link_counts_once_and_for_one_answer() -> None:
    case = Case()
    asked = case.ask()
    token = case.token(asked)
    assert case.answers.open(token).fault is None
    assert case.refused() == []
    done = case.give(token)
    assert done.fault is None
    assert done.asked is not None
    assert done.asked.status == "GRANTED"
    assert case.give(token, agree=False).fault == "it is GRANTED already by ada"
    assert [one["approver"] for one in case.refused()] == ["ada"]
    who = case.stream.get_events_by_type("policy.approval_granted")[0].meta["principal"]
    assert (who["kind"], who["name"], who["how"]) == ("person", "ada", "link")


def test_every_letter_of_a_link_is_bound() -> None:
    case = Case()
    token = case.token(case.ask())
    raw = bytearray(urlsafe_b64decode(token[len(PREFIX) :] + "=="))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        made_up = PREFIX + urlsafe_b64encode(bytes(changed)).decode().rstrip("=")
        assert case.links.read(made_up) is None, place
    for made_up in ("", PREFIX, token[1:], token[:-5], f"{token}AAAA", "brl_ü", PREFIX + "A" * 1000):
        assert case.answers.open(made_up).status == 404, made_up
    assert Links(MemoryStore()).read(token) is None, "of another store"
    assert Links(case.store).read(token) == case.links.read(token), "of another server of the store"
    assert {one["approval_id"] for one in case.refused()} == {None}


def test_all_links_end_with_the_key_on_all_servers() -> None:
    case = Case()
    token, other = case.token(case.ask()), Links(case.store)
    assert other.read(token) is not None
    case.store.delete(SECRETS, KEY)
    assert other.read(token) is None
    assert case.links.read(token) is None
    new = case.token(case.ask())
    assert case.links.read(new) is not None
    assert other.read(new) == case.links.read(new)


def test_a_link_does_not_outlive_the_request() -> None:
    case = Case()
    asked = case.ask()
    token = case.token(asked)
    case.clock.advance(299)
    assert case.answers.open(token).fault is None
    case.clock.advance(1)
    late = case.give(token)
    assert (late.status, late.fault) == (410, "it is EXPIRED already")
    assert case.engine.approvals.get(asked.id).grants == ()


def test_a_link_is_for_what_was_asked() -> None:
    case = Case()
    for changes in ({"fingerprint": "another"}, {"rule_id": "another"}, {"expires_at": 1_703_000_900.0}):
        asked = case.ask()
        token = case.token(asked)
        case.change(asked, **changes)
        assert case.give(token).fault == "what is asked has changed since the link was made", changes
    gone = case.ask()
    token = case.token(gone)
    case.store.delete(COLLECTION, gone.id)
    assert case.give(token).status == 410


def test_who_asked_cannot_answer() -> None:
    case = Case()
    asked = case.ask(by="eve")
    for name in ("eve", "a1"):
        refused = case.give(case.token(asked, name))
        assert (refused.status, "asked for it" in (refused.fault or "")) == (403, True), name
        assert case.give(case.token(asked, name), agree=False).status == 403
    with acting(Principal(name="eve", kind="person", how="session")):  # who got hold of another one's link
        assert case.give(case.token(asked, "ada")).status == 403
    with acting(Principal(name="laptop", how="key", owner="eve")):  # and does so with a key of their own
        assert case.give(case.token(asked, "ada")).status == 403
    assert case.engine.approvals.get(asked.id).status == "PENDING"
    assert len(case.refused()) == 6


def test_who_is_no_approver_any_more_does_not_answer() -> None:
    case = Case()
    token = case.token(case.ask())
    case.people.discard("ada")
    assert case.give(token).status == 403


def test_delegates_and_named_ones() -> None:
    case = Case(approvers=2, approved_by=["ada", "bob"], delegates={"ada": ["eve"]})
    asked = case.ask()
    case.people.add("mia")
    assert case.give(case.token(asked, "mia")).status == 403
    first = case.give(case.token(asked, "eve"))
    assert first.asked is not None
    assert (first.asked.is_open, first.asked.agreed) == (True, ("eve",))
    assert case.give(case.token(asked, "eve")).status == 410
    assert case.give(case.token(asked, "ada")).fault is not None, "her place is taken"
    assert case.give(case.token(asked, "bob")).fault is None
    grants = case.engine.approvals.get(asked.id).grants
    assert [(grant.by, grant.place) for grant in grants] == [("eve", "ada"), ("bob", "bob")]


def test_many_that_answer_at_once_all_count_and_no_more() -> None:
    case = Case(approvers=5)
    asked = case.ask()
    names = [f"p{number}" for number in range(8)]
    case.people.update(names)
    tokens = [case.token(asked, name) for name in names]
    found: list[Opened] = []
    together = threading.Barrier(len(tokens))

    def give(token: str) -> None:
        together.wait()
        found.append(case.give(token))

    threads = [threading.Thread(target=give, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.fault is None for one in found) == 5
    assert len(case.engine.approvals.get(asked.id).grants) == 5


def test_messages_have_the_link_and_neutral_text() -> None:
    case = Case()
    asked = case.requests.look(case.ask(action="pay <https://evil.example|here>\u202e").id)
    url = f"https://brain.example.org/open/approvals/{case.links.token(asked, 'ada')}"
    page = message(asked, "ada", url, ["ada@example.org"])
    slack = content(slack_message(page))
    assert f"<{url}|See what is asked, and answer as ada>" in str(slack)
    assert "pay &lt;https://evil.example|here&gt;" in slack["text"]
    mail = mail_of(page, page.only)
    assert (mail.to, url in mail.text) == (["ada@example.org"], True)
    assert "x-1234567" not in mail.text
    assert asked.params == {"password": redacted({"password": "x-1234567"})["password"]}
    assert "brl_" not in redacted(url)
