"""What `Guard.tool` does with objects that no framework made. The frameworks have tests/integration of their own."""

from __future__ import annotations

import copy
import sys
from types import ModuleType
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.policy import ActionDenied, Condition, Guard, PolicyEngine, Rule
from brain.policy.guards.denials import denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import with_methods, without_methods


@pytest.fixture
def guard() -> Guard:
    engine = PolicyEngine(default_effect="ALLOW")
    large = Condition(field="params.amount", operator=">", value=500)
    engine.add_rule(Rule(id="large", name="large", effect="DENY", conditions=[large]))
    return Guard(engine, agent="a1")


class Desk:
    name = "desk"

    def __init__(self, open_: bool = True) -> None:
        self.open = open_
        self.served = 0

    def serve(self, amount: int) -> int:
        self.served += 1
        return amount


@pytest.mark.parametrize("thing", [object(), {"type": "web_search"}, [len], "refund", 5, None, sys, Desk()])
def test_what_cannot_be_called_is_refused(guard: Guard, thing: object) -> None:
    with pytest.raises(InvalidInput, match=rf"tool: {type(thing).__module__}\.{type(thing).__name__} cannot be called"):
        guard.tool(thing)


def test_callable_objects_and_functions_are_guarded_as_before(guard: Guard) -> None:
    class Refund:
        name = "refund"

        def __call__(self, amount: int) -> int:
            return amount

    tools = guard.tools([Refund(), Desk().serve])
    assert tools.keys() == {"refund", "serve"}
    for tool in tools.values():
        assert tool(5) == 5
        with pytest.raises(ActionDenied):
            tool(900)


def test_a_classmethod_is_guarded_as_before(guard: Guard) -> None:
    class Tools:
        @guard.tool
        @classmethod
        def refund(cls, amount: int) -> int:
            return amount

    assert Tools.refund(5) == 5
    with pytest.raises(ActionDenied):
        Tools.refund(900)


def test_two_tools_of_one_name_are_refused(guard: Guard) -> None:
    with pytest.raises(InvalidInput, match="two are called 'serve'"):
        guard.tools([Desk().serve, Desk().serve])
    assert guard.tools({"one": Desk().serve, "two": Desk().serve}).keys() == {"one", "two"}


@pytest.mark.parametrize("package", ["smolagents", "pydantic_ai.native_tools", "langgraph.pregel", "strands.agent"])
def test_an_object_of_a_framework_that_is_no_tool_is_refused(guard: Guard, package: str) -> None:
    odd = type("Odd", (), {"__module__": package, "__call__": lambda self: None})
    with pytest.raises(InvalidInput, match=rf"tool: {package}\.Odd is no tool .* Guard\.check"):
        guard.tool(odd())


def test_a_package_of_ones_own_called_agents_is_no_framework(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    own = type("Own", (), {"__module__": "agents.mine", "__call__": lambda self, amount: amount, "name": "own"})
    monkeypatch.setitem(sys.modules, "agents", ModuleType("agents"))
    assert guard.tool(own())(5) == 5
    sdk = ModuleType("agents")
    sdk.FunctionTool = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agents", sdk)
    with pytest.raises(InvalidInput, match="is no tool"):
        guard.tool(own())


def test_copies_with_other_methods() -> None:
    def serve(self: Desk, amount: int) -> str:
        return f"guarded {without_methods(self, Desk).serve(amount)}"

    desk = Desk()
    made = with_methods(desk, serve=serve)
    assert isinstance(made, Desk)
    assert type(made).__qualname__ == Desk.__qualname__
    assert made.serve(5) == "guarded 5"
    assert (made.served, desk.served) == (1, 0)
    assert copy.copy(made).serve(6) == "guarded 6"
    assert copy.deepcopy(made).serve(7) == "guarded 7"
    assert desk.serve(8) == 8


def test_a_method_set_on_the_object_would_come_before_the_guard() -> None:
    desk = Desk()
    desk.serve = lambda amount: amount  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="sets serve on the object"):
        with_methods(desk, serve=lambda self, amount: None)


async def test_a_mapping_of_arguments_is_decided_on(guard: Guard) -> None:
    ran: list[Any] = []
    seen: list[Any] = []

    async def run(arguments: dict[str, Any]) -> str:
        ran.append(arguments)
        return "done"

    action = ToolAction(guard, "refund", resource=lambda **arguments: seen.append(arguments))
    decided = action.arguments(run)
    assert await decided({"self": "x", "run": 1, "arguments": 2, "amount": 5}) == "done"
    with pytest.raises(ActionDenied) as denied:
        await decided({"amount": 900})
    assert denial_text(denied.value) == "Action denied: denied by rule 'large' (large, priority 0)"
    assert ran == [{"self": "x", "run": 1, "arguments": 2, "amount": 5}]
    assert seen[-1] == {"amount": 900}


async def test_a_resource_is_written_with_arguments(guard: Guard) -> None:
    engine = guard.engine
    closed = Condition(field="resource", operator="==", value="account/7")
    engine.add_rule(Rule(id="closed", name="closed", effect="DENY", conditions=[closed]))

    async def run(arguments: dict[str, Any]) -> str:
        return "done"

    decided = ToolAction(guard, "close", resource="account/{self}").arguments(run)
    assert await decided({"self": 6}) == "done"
    with pytest.raises(ActionDenied):
        await decided({"self": 7})
