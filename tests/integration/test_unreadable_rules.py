"""A stored rule that this version cannot read, put straight into the store: a running engine keeps its set, a starting
one says which rule it is and what to do, and the commands that mend it work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from brain.errors import InvalidInput
from brain.policy import Condition, PolicyEngine, Rule
from brain.store import open_store
from support.command import Command

DEEP = b'{"id": "deep", "name": "d", "effect": "DENY", "conditions": [{"field": "%s", "operator": "==", "value": 1}]}'
BAD = DEEP % b".".join([b"k"] * 250)
GOOD = Rule(id="good", name="g", effect="DENY", conditions=[Condition("action", "==", "x")])  # type: ignore[arg-type]


def spoil_sqlite(url: str) -> None:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        db.execute(
            "INSERT INTO documents (collection, key, version, data) VALUES ('policy.rules', 'deep', 1, ?)", (BAD,)
        )
    db.close()


def spoil_by_port(url: str) -> None:
    store = open_store(url)
    store.put("policy.rules", "deep", BAD)
    store.close()


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is shared."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/brain.db"
    found: str = request.getfixturevalue("redis_url")
    return found


def test_a_running_engine_keeps_its_set_and_a_starting_one_says_what_to_do(url: str) -> None:
    running = PolicyEngine(store=open_store(url), follow_interval=None)
    running.add_rule(GOOD)
    spoil_by_port(url)
    for _ in range(2):
        with pytest.raises(InvalidInput, match=r"stored rule 'deep' cannot be read: .*64 parts"):
            running.refresh()
        assert [rule.id for rule in running.rules()] == ["good"]
        assert running.evaluate({"action": "x"}).rule_id == "good"
    with pytest.raises(InvalidInput, match="`brain policy delete deep` removes it"):
        PolicyEngine(store=open_store(url))
    open_store(url).delete("policy.rules", "deep")
    assert running.evaluate({"action": "x"}).rule_id == "good"
    with PolicyEngine(store=open_store(url)) as started:
        assert [rule.id for rule in started.rules()] == ["good"]


def test_a_rule_that_cannot_be_loaded_is_never_stored(url: str) -> None:
    engine = PolicyEngine(store=open_store(url), follow_interval=None)
    beyond = {"id": "r", "name": "r", "effect": "DENY"}
    for change in ({"conditions": [{"field": "k" + ".k" * 64, "operator": "==", "value": 1}]}, {"name": "x" * 501}):
        with pytest.raises(InvalidInput):
            engine.import_rules([Rule.from_dict({**beyond, **change})])
    full = {"field": "k" + ".k" * 63, "operator": "==", "value": 1}
    engine.add_rule(Rule.from_dict({**beyond, "conditions": [full] * 1_000}))
    with PolicyEngine(store=open_store(url)) as started:
        assert started.rules() == engine.rules()


@pytest.mark.parametrize("spoil", [spoil_sqlite, spoil_by_port])
def test_the_commands_that_mend_it_work(brain: Command, tmp_path: Path, spoil: Callable[[str], None]) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    with PolicyEngine(store=open_store(url)) as engine:
        engine.add_rule(GOOD)
    spoil(url)
    refused = brain("policy", "eval", '{"action": "x"}')
    assert (refused.code, refused.out) == (2, "")
    assert "stored rule 'deep' cannot be read" in refused.err
    assert "`brain policy delete deep` removes it" in refused.err
    listed = brain("policy", "list", "--json")
    assert (listed.code, [rule["id"] for rule in listed.json]) == (0, ["good"])
    assert "left out: stored rule 'deep' cannot be read" in listed.err
    exported = brain("policy", "export")
    assert exported.code == 0
    assert "id: good" in exported.out
    assert "stored rule 'deep'" in exported.err
    told = brain("doctor", "--json")
    assert told.code == 1
    (finding,) = [one for one in told.json if one["part"] == "stored rules"]
    assert (finding["state"], finding["remedy"]) == ("bad", "brain policy delete deep; until then no engine starts")
    assert "'deep'" in finding["finding"]
    deleted = brain("policy", "delete", "deep")
    assert deleted.code == 0
    assert deleted.out.startswith("deep is deleted; no version can bring it back: ")
    assert brain("policy", "eval", '{"action": "x"}', "--json").json["rule_id"] == "good"
