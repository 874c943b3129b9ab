"""Guarded servers and clients while a person is asked, and while many calls are under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client

from brain.policy import Guard
from brain.policy.guards_mcp import GuardedClient, guard_server
from support.mcp_servers import engine_of, everything, own, rule
from support.waiting import until

ALL = rule("all", "ALLOW", ("agent_id", "==", "a1"))
ASK = rule("ask", "AUDIT", ("action", "==", "mcp.tool.call"), priority=5, metadata={"requires_approval": True})


@pytest.mark.parametrize("make", [everything, own])
async def test_what_a_person_approved_is_what_runs(make: Any) -> None:
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(ALL, ASK)
    server = make(reached)
    guard_server(Guard(engine, agent="a1"), server)
    async with Client(server) as client:
        arguments: dict[str, Any] = {"amount": 5}
        call = asyncio.create_task(client.call_tool("refund", arguments))
        await until(lambda: bool(engine.approvals.list("PENDING")))
        arguments["amount"] = 900
        [asked] = engine.approvals.list("PENDING")
        assert asked.context["params"]["amount"] == 5
        engine.approvals.grant(asked.id, by="ann")
        assert not (await call).is_error
    got = [params for method, params in reached if method == "tools/call"]
    assert [(params.get("arguments") or params)["amount"] for params in got] == [5]
    engine.close()


async def test_a_clients_arguments_are_taken_before_the_question() -> None:
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(ALL, ASK)
    async with Client(everything(reached)) as client:
        arguments: dict[str, Any] = {"amount": 5}
        call = asyncio.create_task(GuardedClient(Guard(engine, agent="a1"), client).call_tool("refund", arguments))
        await until(lambda: bool(engine.approvals.list("PENDING")))
        arguments["amount"] = 900
        engine.approvals.grant(engine.approvals.list("PENDING")[0].id, by="ann")
        await call
    assert [params["arguments"]["amount"] for method, params in reached if method == "tools/call"] == [5]
    engine.close()


async def test_a_denial_by_the_other_name_that_comes_while_a_person_is_asked() -> None:
    reached: list[tuple[str, Any]] = []
    engine, stream = engine_of(ALL, ASK)
    server = own(reached)
    guard_server(Guard(engine, agent="a1"), server)
    async with Client(server) as client:
        call = asyncio.create_task(client.call_tool("close", {}))
        await until(lambda: bool(engine.approvals.list("PENDING")))
        engine.add_rule(rule("late", "DENY", ("action", "==", "close"), priority=9))
        engine.approvals.grant(engine.approvals.list("PENDING")[0].id, by="ann")
        result = await call
    assert result.is_error
    assert "denied by rule 'late'" in result.content[0].text
    assert reached == []
    assert stream.get_events_by_type("policy.action_denied")[-1].payload["rule_id"] == "late"
    engine.close()


async def test_an_abandoned_call_does_not_run() -> None:
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(ALL, ASK)
    server = own(reached)
    guard_server(Guard(engine, agent="a1"), server)
    async with Client(server) as client:
        call = asyncio.create_task(client.call_tool("close", {}))
        await until(lambda: bool(engine.approvals.list("PENDING")))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        engine.approvals.grant(engine.approvals.list("PENDING")[0].id, by="ann")
        assert (await client.list_tools()).tools
    assert reached == []
    engine.close()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_calls_under_way_together_keep_their_own_arguments(mode: str) -> None:
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(ALL, rule("large", "DENY", ("params.amount", ">", 500), priority=5))
    server = own(reached)
    guard_server(Guard(engine, agent="a1"), server)
    async with Client(server, mode=mode) as client:
        answers = await asyncio.gather(
            *(client.call_tool("refund", {"amount": amount, "currency": f"C{amount}"}) for amount in range(400, 600))
        )
    assert [answer.is_error for answer in answers] == [amount > 500 for amount in range(400, 600)]
    assert sorted((got["amount"], got["currency"]) for _, got in reached) == [(n, f"C{n}") for n in range(400, 501)]
    engine.close()


async def test_a_preview_is_no_event() -> None:
    engine, stream = engine_of(ALL)
    context = {"agent_id": "a1", "action": "x"}
    assert engine.preview(context) == engine.evaluate(context)
    assert len(stream.get_events_by_type("policy.rule_evaluated")) == 1
    engine.close()


async def test_a_call_goes_through_once_when_it_is_repeated_after_the_answer() -> None:
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(ALL, ASK)
    server = own(reached)
    guard_server(Guard(engine, agent="a1", on_approval="raise"), server)
    async with Client(server) as client:
        asked = await client.call_tool("refund", {"amount": 5})
        [approval] = engine.approvals.list("PENDING")
        assert approval.id in asked.content[0].text
        engine.approvals.grant(approval.id, by="ann")
        assert (await client.call_tool("refund", {"amount": 6})).is_error
        assert not (await client.call_tool("refund", {"amount": "5"})).is_error
        assert (await client.call_tool("refund", {"amount": 5})).is_error
    assert [got["amount"] for _, got in reached] == [5]
    engine.close()
