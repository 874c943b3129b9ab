from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pytest

from brain import Condition, PolicyEngine, Rule
from brain.charter.context import correlation
from brain.errors import InvalidInput
from brain.policy import provenance_requests
from brain.policy.guards import ActionDenied, Guard
from brain.policy.provenance import FORGOTTEN, MAX_CHARACTERS, Provenance, ToolFacts
from brain.store import open_store

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


def test_own_data_of_one_request_counts_in_it_alone() -> None:
    provenance = Provenance(TOOLS)
    provenance.begin("r1", "", own=["Dora <dora@example.org>"])
    provenance.begin("r2", "")
    to = {"to": "dora@example.org"}
    assert not provenance.facts("r1", "send_mail", to)["destination_new"]
    assert provenance.facts("r2", "send_mail", to)["destination_new"]
    with pytest.raises(InvalidInput, match="own: has 1,000,001 characters"):
        provenance.begin("r3", "", own=["x" * (MAX_CHARACTERS + 1)])


def test_requests_in_a_store_are_known_to_others_and_after_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    with closing(open_store(url)) as store, closing(open_store(url)) as other:
        ours, theirs = Provenance(TOOLS, store=store), Provenance(TOOLS, store=other)
        ours.begin("r\ud800", "Write to anna@example.org", own=["dora@example.org"])
        theirs.called("r\ud800", "read_mail")
        theirs.called("unknown", "read_mail")
        both = {"to": ["anna@example.org", "dora@example.org"]}
        for one in (ours, theirs):
            assert one.facts("r\ud800", "send_mail", both) == {
                "labels": ["untrusted"], "destination_new": False, "asked": True
            }  # fmt: skip
    with closing(open_store(url)) as store:
        again = Provenance(TOOLS, store=store)
        assert again.facts("r\ud800", "send_mail", {"to": "eve@example.org"})["destination_new"]
        assert again.facts("unknown", "send_mail", {})["labels"] == [FORGOTTEN]
        again.begin("r\ud800", "")
        assert again.facts("r\ud800", "send_mail", both)["labels"] == []


def test_the_first_requests_of_a_store_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance_requests, "MAX_REQUESTS", 5)
    monkeypatch.setattr(provenance_requests, "TIDIED", 3)
    clock = iter(range(100))
    with closing(open_store(f"sqlite:///{tmp_path}/brain.db")) as store:
        requests = provenance_requests.RequestsInStore(store, lambda: float(next(clock)))
        for number in range(10):
            requests.begin(f"r{number}", "", "")
        known = [number for number in range(10) if requests.get(f"r{number}") is not None]
    assert known == [5, 6, 7, 8, 9]


def test_a_request_in_a_store_that_cannot_be_read_is_not_known_and_is_forgotten_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance_requests, "MAX_REQUESTS", 2)
    monkeypatch.setattr(provenance_requests, "TIDIED", 2)
    collection = provenance_requests.COLLECTION
    with closing(open_store(f"sqlite:///{tmp_path}/brain.db")) as store:
        requests = provenance_requests.RequestsInStore(store)
        requests.begin("bad", "", "")
        (document,) = store.scan(collection)
        store.put(collection, document.key, b'{"words": 1}')
        requests.add("bad", ["personal"])
        assert requests.get("bad") is None
        for name in ("a", "b"):
            requests.begin(name, "", "")
        assert requests.get("a") is not None
        assert len(store.scan(collection)) == 2
        assert store.get(collection, document.key) is None


def test_labels_that_two_processes_add_at_once_are_all_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    with closing(open_store(url)) as store:
        provenance_requests.RequestsInStore(store).begin("r", "", "")

        def add(number: int) -> None:
            with closing(open_store(url)) as mine:
                for each in range(20):
                    provenance_requests.RequestsInStore(mine).add("r", [f"{number}-{each}"])

        threads = [threading.Thread(target=add, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = provenance_requests.RequestsInStore(store).get("r")
    assert found is not None
    assert {*found.labels} == {f"{number}-{each}" for number in range(3) for each in range(20)}
