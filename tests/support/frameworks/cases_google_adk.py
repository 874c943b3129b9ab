"""Tools and toolsets of Google ADK, run by its Runner with a scripted model."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.adk.agents import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools import BaseTool, FunctionTool, LongRunningFunctionTool, ToolContext, google_search
from google.adk.tools.base_toolset import BaseToolset
from google.adk.tools.mcp_tool import McpToolset
from google.genai import types
from mcp import StdioServerParameters
from pydantic import Field
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter

from brain.errors import InvalidInput
from brain.policy import acting_as


def refund(amount: int, currency: str = "EUR") -> dict[str, Any]:
    """Refund an amount."""
    ran.append(("refund", amount, currency))
    return {"refunded": amount}


async def close(account: str, tool_context: ToolContext, force: bool = True) -> dict[str, Any]:
    """Close an account."""
    ran.append(("close", account, force, tool_context.state["user"]))
    return {"closed": account}


def payout(amount: int) -> dict[str, Any]:
    """Pay out."""
    ran.append(("payout", amount))
    return {"paid": amount}


async def stream(amount: int) -> AsyncIterator[str]:
    """Stream."""
    ran.append(("stream", amount))
    yield f"streamed {amount}"


def steps(amount: int) -> Iterator[str]:
    """Step by step."""
    ran.append(("steps", amount))
    yield f"stepped {amount}"


class Desk:
    """A callable object."""

    def __call__(self, amount: int) -> dict[str, Any]:
        """Refund at a desk."""
        ran.append(("desk", amount))
        return {"refunded": amount}


class RefundTool(BaseTool):
    def __init__(self) -> None:
        super().__init__(name="refund_tool", description="Refund")

    def _get_declaration(self) -> types.FunctionDeclaration:
        return types.FunctionDeclaration(name=self.name, description=self.description)

    async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> Any:
        ran.append(("run_async", args))
        return {"refunded": args["amount"]}


class Desks(BaseToolset):
    async def get_tools(self, readonly_context: Any = None) -> list[BaseTool]:
        return [FunctionTool(refund), RefundTool()]


class Scripted(BaseLlm):
    calls: list[Any]
    seen: list[Any] = Field(default_factory=list)

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
        self.seen.append(llm_request.model_copy(deep=True))
        parts = [types.Part(function_call=types.FunctionCall(name=name, args=args)) for name, args in self.calls]
        if len(self.seen) > 1:
            parts = [types.Part(text="done")]
        yield LlmResponse(content=types.Content(role="model", parts=parts))


async def read(tools: list[Any], *calls: tuple[str, Any]) -> list[Any]:
    """What the model reads for its calls, made in one go; the run goes on to its end."""
    model = Scripted(model="scripted", calls=list(calls))
    return await run(LlmAgent(name="support", model=model, tools=tools), model)


async def run(agent: LlmAgent, model: Scripted) -> list[Any]:
    runner = InMemoryRunner(agent, app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="u", state={"user": "ann"})
    message = types.Content(role="user", parts=[types.Part(text="go")])
    events = [event async for event in runner.run_async(user_id="u", session_id=session.id, new_message=message)]
    assert events[-1].content.parts[0].text == "done"
    return [part.function_response.response for part in model.seen[-1].contents[-1].parts if part.function_response]


DENIED = {"error": f"Action denied: {LARGE}"}


async def test_allowed_runs_and_denied_is_read() -> None:
    tools = list(new_guard().tools([FunctionTool(refund), FunctionTool(close)]).values())
    outputs = await read(
        tools,
        ("refund", {"amount": 5}),
        ("refund", {"amount": 900}),
        ("close", {"account": "a"}),
        ("close", {"account": "b", "force": False}),
    )
    assert outputs == [{"refunded": 5}, DENIED, {"error": f"Action denied: {FORCED}"}, {"closed": "b"}]
    assert sorted(ran) == [("close", "b", False, "ann"), ("refund", 5, "EUR")]


async def test_a_text_for_a_number_reaches_the_tool_as_a_text_and_is_decided_as_one() -> None:
    (answer,) = await read([new_guard().tool(FunctionTool(refund))], ("refund", {"amount": "900"}))
    assert answer["error"].startswith("Action denied: denied by rule 'large'")
    assert ran == []


async def test_long_running_and_generators() -> None:
    guard = new_guard()
    tools = [guard.tool(LongRunningFunctionTool(refund)), guard.tool(FunctionTool(stream))]
    tools.append(guard.tool(FunctionTool(steps)))
    names = ("refund", "stream", "steps")
    outputs = await read(tools, *[(name, {"amount": amount}) for amount in (900, 5) for name in names])
    assert outputs[0] == DENIED
    assert [output.get("error", output.get("result", {})) for output in outputs[1:3]] == [DENIED["error"]] * 2
    assert outputs[3:] == [{"refunded": 5}, {"result": "streamed 5"}, {"result": "stepped 5"}]
    assert sorted(ran) == [("refund", 5, "EUR"), ("steps", 5), ("stream", 5)]
    assert [item async for item in tools[1].func(amount=900)] == [DENIED]
    assert isinstance(tools[0], LongRunningFunctionTool)
    assert tools[0].is_long_running


async def test_a_class_of_tools_and_a_toolset() -> None:
    guarded = new_guard().tool(Desks(tool_name_prefix="desk"))
    outputs = await read(
        [guarded],
        ("desk_refund", {"amount": 900}),
        ("desk_refund_tool", {"amount": 900}),
        ("desk_refund_tool", {"amount": 5}),
    )
    assert outputs == [DENIED, DENIED, {"refunded": 5}]
    assert ran == [("run_async", {"amount": 5})]
    assert isinstance(guarded, Desks)


def test_the_tool_stays_what_it_is() -> None:
    made = [FunctionTool(each) for each in (refund, close, stream, steps, Desk(), functools.partial(refund, amount=1))]
    made[4].name = "desk"
    for tool in (*made, LongRunningFunctionTool(refund), RefundTool()):
        guarded = new_guard().tool(tool)
        assert isinstance(guarded, type(tool))
        assert (guarded.name, guarded.description) == (tool.name, tool.description)
        assert dump(guarded) == dump(tool)


def dump(tool: Any) -> str:
    return json.dumps(tool._get_declaration().model_dump(mode="json"))


async def test_a_callable_object() -> None:
    tool = FunctionTool(Desk())
    guarded = new_guard().tool(tool, name="refund")
    outputs = await read([guarded], (tool.name, {"amount": 900}), (tool.name, {"amount": 5}))
    assert outputs == [DENIED, {"refunded": 5}]


async def test_copies_stay_guarded() -> None:
    guard = new_guard()
    for tool, name in ((FunctionTool(refund), "refund"), (RefundTool(), "refund_tool")):
        assert await read([copy.copy(guard.tool(tool))], (name, {"amount": 900})) == [DENIED]
    assert ran == []


async def test_who_acts_is_known_inside() -> None:
    tool = new_guard(agent=None).tool(FunctionTool(refund))
    with acting_as("a1"):
        assert await read([tool], ("refund", {"amount": 5})) == [{"refunded": 5}]


async def test_two_guards() -> None:
    first = new_guard()
    for each in (FunctionTool(refund), RefundTool()):
        for guarded in (stricter().tool(first.tool(each)), first.tool(stricter().tool(each))):
            outputs = await read([guarded], (each.name, {"amount": 200}), (each.name, {"amount": 5}))
            assert outputs == [{"error": f"Action denied: {SMALL}"}, {"refunded": 5}]
            assert dump(guarded) == dump(each)
    assert len(ran) == 4


async def test_a_subclass_that_runs_in_a_way_of_its_own() -> None:
    class Own(FunctionTool):
        async def run_async(self, *, args: dict[str, Any], tool_context: ToolContext) -> Any:
            ran.append(("own", args))
            return {"done": True}

    def close(account: str, force: bool = True) -> dict[str, Any]:
        """Close an account."""
        raise NotImplementedError

    seen: list[Any] = []
    guarded = new_guard().tool(Own(close), resource=lambda account, force: seen.append(account))
    outputs = await read([guarded], ("close", {"account": "a"}), ("close", {"account": "b", "force": False}))
    assert outputs == [{"error": f"Action denied: {FORCED}"}, {"done": True}]
    assert seen == ["a", "b"]
    assert ran == [("own", {"account": "b", "force": False})]


async def test_an_approval_is_named() -> None:
    guard = new_guard()
    (answer,) = await read([guard.tool(FunctionTool(payout))], ("payout", {"amount": 5}))
    (asked,) = guard.engine.approvals.list("PENDING")
    assert answer["error"].startswith(f"Approval required: a person has to approve this ({asked.id})")
    guard.engine.approvals.grant(asked.id, by="ann")
    assert await read([guard.tool(FunctionTool(payout))], ("payout", {"amount": 5})) == [{"paid": 5}]


async def test_a_guard_in_the_event_loops_thread_does_not_wait() -> None:
    guard = new_guard(on_approval="wait")
    (answer,) = await read([guard.tool(FunctionTool(payout))], ("payout", {"amount": 5}))
    assert answer["error"].startswith("Approval required: ")
    assert ran == []


async def test_other_failures_go_the_frameworks_way() -> None:
    def fails(amount: int) -> str:
        raise ZeroDivisionError

    guarded = new_guard().tool(FunctionTool(fails))
    with pytest.raises(ZeroDivisionError):
        await read([guarded], ("fails", {"amount": 5}))
    (answer,) = await read([guarded], ("fails", {}))
    assert "mandatory input parameters" in answer["error"]


async def test_the_example_in_the_docs(tmp_path: Path) -> None:
    model = Scripted(model="scripted", calls=[("refund", {"amount": 900})])
    assert await run(example("google_adk", tmp_path, model), model) == [DENIED]


def test_what_does_not_run_here_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'google_search' is run by the model's provider"):
        new_guard().tool(google_search)
    server = McpToolset(connection_params=StdioServerParameters(command="none"))
    with pytest.raises(InvalidInput, match="McpToolset is run by an MCP server"):
        new_guard().tool(server)
