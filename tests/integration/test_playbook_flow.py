"""Playbooks lower a rate limit and open a breaker: decorated calls and guards obey, and events say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain import CircuitOpen, Event, LimitExceeded, Rule, breaker, limiter
from brain.policy.guards import ActionDenied, Guard, acting_as
from support.playing import playing

SLOW_DOWN = """
playbooks:
  - name: slow-down
    trigger: threat.escalated
    subject: payload.source
    steps:
      - lower_limit: {limit: search, agent_id: "${payload.source}", calls: 2, window: minute, seconds: 300}
      - open_breaker: {breaker: billing, resource: payments, seconds: 300}
"""


async def test_a_playbook_lowers_a_limit_and_opens_a_breaker(tmp_path: Path) -> None:
    async with playing(tmp_path, SLOW_DOWN, shipped=False) as here:
        here.engine.add_rule(Rule(id="all", name="All", effect="ALLOW"))
        search = limiter(here.engine, "search", rate=1_000)(lambda: 1)
        pay = breaker(here.engine, "billing")(lambda: 1)
        with acting_as("rogue"):
            assert [search() for _ in range(5)] == [1] * 5
        assert pay() == 1
        meta = {"correlation_id": "story-rogue", "version": "1.0"}
        here.stream.publish(
            Event(type="threat.escalated", source="threats_service", payload={"source": "rogue"}, meta=meta)
        )
        (ended,) = await here.of("playbook.ended")
        assert ended.payload["state"] == "SUCCEEDED"
        here.engine.refresh()
        with acting_as("rogue"):
            assert [search() for _ in range(2)] == [1, 1]
            with pytest.raises(LimitExceeded, match="of rogue"):
                search()
        with acting_as("other"):
            assert [search() for _ in range(5)] == [1] * 5
        with pytest.raises(CircuitOpen, match="slow-down"):
            pay()
        with pytest.raises(ActionDenied, match="slow-down"):
            Guard(here.engine, agent="other").check("pay", "payments")
        (limited,) = await here.of("policy.limit_changed", name="search", calls=2, agent_id="rogue")
        (opened,) = await here.of("policy.breaker_changed", name="billing", state="open")
        assert {one.correlation_id for one in (limited, opened)} == {"story-rogue"}
        assert opened.payload["by"] == "playbook:slow-down"
