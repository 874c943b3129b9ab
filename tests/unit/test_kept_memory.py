"""What a process keeps of memory: what malloc does not give back, and what 100,000 rules take; counted in bytes."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from tests.support.sizes import sizes

from brain import Condition, PolicyEngine, Rule
from brain.policy.decisions import Decision

_BLOCKS = """
import ctypes, json
from brain.garbage import bound_kept_memory

class Found(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd rest1 rest2 used free kept"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

bound_kept_memory()
bytes(8_000_000)  # taken from the system and freed: by itself, malloc takes what is smaller from its arenas from now on
block = bytes(4_000_000)
found = ctypes.CDLL(None).mallinfo2
found.restype = Found
print(json.dumps(found().hblkhd))
"""
RULE_BYTES = 1_100
"""Most bytes of a rule of two conditions, with its texts, document, decision and place in the index."""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has mallinfo2")
@pytest.mark.parametrize("own", [{}, {"MALLOC_ARENA_MAX": "8"}], ids=["ours", "the user's"])
def test_large_blocks_stay_the_systems_own_unless_the_user_says_how_malloc_works(
    tmp_path: Path, own: dict[str, str]
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", _BLOCKS]
    ran = subprocess.run(
        command, cwd=tmp_path, env={**inherited, **own}, capture_output=True, text=True, check=True
    ).stdout
    assert (json.loads(ran) >= 4_000_000) == (not own)


def rules(count: int) -> list[Rule]:
    return [
        Rule(
            id=f"rule-{number}",
            name=f"rule-{number}",
            effect="DENY" if number % 3 else "ALLOW",
            conditions=[
                Condition("agent_role", "==", f"role-{number % 70}"),
                Condition("action", "==", f"action-{number // 70}"),
            ],
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", sizes(1_000, 100_000))
def test_rules_take_few_bytes(count: int) -> None:
    PolicyEngine().import_rules(rules(1))
    gc.collect()
    tracemalloc.start()
    try:
        engine = PolicyEngine()
        engine.import_rules(rules(count))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(engine.rules()) == count
    assert taken / count <= RULE_BYTES


def test_a_reason_is_made_when_it_is_asked_for_and_once() -> None:
    engine = PolicyEngine()
    engine.add_rule(Rule(id="r", name="Read", effect="ALLOW", conditions=[Condition("action", "==", "read")]))
    slot = Decision.__dict__["reason"]
    decision = engine.evaluate({"action": "read"})
    with pytest.raises(AttributeError):
        slot.__get__(decision)
    assert decision.reason == "allowed by rule 'Read' (r, priority 0)"
    assert slot.__get__(decision) is decision.reason
    assert decision.to_dict()["reason"] == decision.reason
    with pytest.raises(AttributeError):
        decision.reasons  # type: ignore[attr-defined]  # noqa: B018


def test_equal_conditions_of_rules_are_one_object_and_unlike_ones_are_not() -> None:
    one, other = rules(1)[0], rules(71)[70]
    assert one.conditions[0] is other.conditions[0]
    assert one.conditions[1] is not other.conditions[1]
    values = [1, True, 1.0, "1"]
    made = [Rule(id=f"{n}", name="", effect="DENY", conditions=[Condition("f", "==", v)]) for n, v in enumerate(values)]
    assert [type(rule.conditions[0].value) for rule in made] == [int, bool, float, str]
