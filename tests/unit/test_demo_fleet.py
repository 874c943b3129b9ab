"""The demo's fleet can go on for days: it stays within the budgets of the loop, and its agents are seldom denied."""

from __future__ import annotations

from random import Random

import pytest

from brain import PolicyEngine, Rule
from brain.demo.fleet import AGENTS, BETWEEN_ROGUES, RULES, Agent
from brain.playbooks.shipped import shipped


def test_rogue_agents_come_seldom_enough_to_be_contained_each() -> None:
    budgets = {playbook.name: playbook.per_hour for playbook in shipped(900.0)}
    assert 3600 / BETWEEN_ROGUES[0] < budgets["contain-threat"]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_is_seldom_denied(agent: Agent) -> None:
    engine, random, acts = PolicyEngine(), Random(7), 5_000
    for rule in RULES:
        engine.add_rule(Rule.from_dict(rule))
    denied = sum(not engine.evaluate(agent.context(*agent.next_act(random), random)).allowed for _ in range(acts))
    assert denied / acts < 0.02, "five within a minute would be a threat, and threats grow"
    assert bool(denied) is (bool(agent.temptations) or agent.role == "cashier")
