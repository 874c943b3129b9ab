"""Guards: the engine's decision in front of people's own functions and of agents' tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, ParamSpec, TypeVar, cast, overload
from weakref import WeakSet

from brain.charter.context import current_meta
from brain.errors import InvalidInput
from brain.logs import Log
from brain.policy.approvals import DEFAULT_TIMEOUT
from brain.policy.decisions import Decision
from brain.policy.engine import PolicyEngine
from brain.policy.guards import frameworks
from brain.policy.guards.agent_context import Agent, acting_agent, agent_fields
from brain.policy.guards.approval_gate import ApprovalGate, ApprovalOptions
from brain.policy.guards.decorators import wrapped
from brain.policy.guards.denials import action_denied
from brain.policy.guards.description import CallDescription, DescribeCall
from brain.policy.guards.threads import run_ready
from brain.policy.normalisation import normalise
from brain.policy.provenance import Provenance

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")

log: Log = Log("brain.policy")

_silent: WeakSet[PolicyEngine] = WeakSet()
"""Engines without a stream of which that was said."""

NO_AGENT = "the guard does not know who acts: the call names no agent_id"
_NAME_AGENT = (
    "give the guard or the call an `agent`, or act inside `acting_as(...)` (in another thread: `carry`); "
    "where the caller may be unknown, name ANONYMOUS"
)


class Guard:
    """Asks `engine` before an action is done, and raises ActionDenied when it may not be.

    Who acts is `agent` of the call or decorator, else of the guard (an id, a mapping, or a function that gives either),
    else what `acting_as` says; a guard that finds no `agent_id` there refuses. When a rule asks for a person's
    approval, a guard with `on_approval="wait"` waits up to `approval_timeout` seconds for the answer; with "raise" it
    raises ApprovalRequired at once, and lets the same call through, once, when it is repeated after the answer. What
    was approved is what runs: arguments that changed meanwhile are a denial. With `provenance` rules may ask for
    `labels`, `destination_new` and `asked`, kept by the correlation id inside which the call is made.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        *,
        agent: Agent | Callable[[], Agent] | None = None,
        environment: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        on_approval: Literal["wait", "raise"] = "wait",
        approval_timeout: float = DEFAULT_TIMEOUT,
        provenance: Provenance | None = None,
    ) -> None:
        if on_approval not in ("wait", "raise"):
            raise InvalidInput(f"on_approval: {on_approval!r} is unknown; use wait or raise")
        self.engine = engine
        self._agent = agent
        self._environment = environment
        self._provenance = provenance
        self._approval_options = ApprovalOptions(engine, waits=on_approval == "wait", timeout=approval_timeout)
        if not engine.records and engine not in _silent:
            _silent.add(engine)
            log.warning("a guard has an engine without event_stream, so its decisions are not recorded")

    def context(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> dict[str, Any]:
        """The context that is decided on: normalised copies, which later changes of the values do not reach."""
        who = agent if agent is not None else self._agent() if callable(self._agent) else self._agent
        fields = agent_fields(who if who is not None else acting_agent())
        around = self._environment() if callable(self._environment) else self._environment
        context = {
            "environment": _normal("environment", around),
            **_normal("agent", fields),
            "action": action,
            "params": _normal("params", params),
        }
        if resource is not None:
            context["resource"] = resource
        if self._provenance is not None:
            context |= self._provenance.facts(_correlation_id(), action, context["params"])
        return context

    def check(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> Decision:
        """The decision, when the action may be done. Raises ActionDenied.

        It may block while it waits for a person, but not in a thread whose event loop runs: there it raises
        ApprovalRequired instead, and the same call goes through once when it is repeated after the answer.
        """
        found = self._begin(lambda args, kwargs: (action, resource, params, agent), (), {})
        return found.wait() if isinstance(found, ApprovalGate) else found

    async def check_async(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> Decision:
        """As `check`, without blocking the event loop, of asyncio or trio. A denial waits for nothing."""
        found = await self._begin_async(lambda args, kwargs: (action, resource, params, agent), (), {})
        return await found.wait_async() if isinstance(found, ApprovalGate) else found

    def _begin(
        self, describe: DescribeCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Decision | ApprovalGate:
        """The decision that lets the call go on, or the question to be answered first. Raises ActionDenied."""
        return self._decided(self.context(*describe(args, kwargs)), lambda: self.context(*describe(args, kwargs)))

    async def _begin_async(
        self, describe: DescribeCall, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Decision | ApprovalGate:
        """As `_begin`, where the event loop must not wait."""
        context = self.context(*describe(args, kwargs))
        await run_ready(self.engine, context)
        return self._decided(context, lambda: self.context(*describe(args, kwargs)))

    def _decided(self, context: dict[str, Any], again: Callable[[], dict[str, Any]]) -> Decision | ApprovalGate:
        if context.get("agent_id") in (None, ""):
            raise action_denied(NO_AGENT, self.engine.refuse(context, NO_AGENT), remedy=_NAME_AGENT)
        decision = self.engine.evaluate(context)
        if not decision.allowed:
            raise action_denied(decision.reason, decision)
        if self._provenance is not None:
            self._provenance.called(_correlation_id(), context["action"])
        if not decision.requires_approval:
            return decision
        return ApprovalGate(self._approval_options, decision, context, again)

    def __call__(
        self,
        action: str,
        *,
        resource: str | Callable[..., str | None] | None = None,
        params: Iterable[str] | Callable[..., Mapping[str, Any]] | None = None,
        agent: Agent | Callable[..., Agent] | None = None,
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """A decorator for plain and async functions and generators: the call is decided before it begins.

        `resource` is a text in which `{name}` stands for an argument (`"order/{order_id}"`), or a function of the
        arguments. `params` are the call's arguments, unless it names some of them, or is a function of them. A
        generator is decided on when its first step is asked for, as that is when its body begins.
        """
        described = CallDescription(action, resource, params, agent)

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            return self._wrapped(function, described)

        return decorate

    def tool(
        self,
        function: F,
        *,
        name: str | None = None,
        resource: str | Callable[..., str | None] | None = None,
        agent: Agent | Callable[..., Agent] | None = None,
    ) -> F:
        """An agent's tool, guarded: its name is the action, its arguments are the params.

        A tool object of a framework (docs/frameworks.md) comes back as the same kind of object, guarded inside; there a
        denial is the tool's result. Raises InvalidInput for what cannot be guarded.
        """
        tool = frameworks.guarded(self, function, name=name, resource=resource, agent=agent)
        if tool is not None:
            return cast(F, tool)
        action = name or getattr(function, "name", None) or getattr(function, "__name__", None)
        if not isinstance(action, str):
            raise InvalidInput(f"name: {function!r} has no name; give one")
        return cast(F, self._wrapped(cast(Any, function), CallDescription(action, resource, None, agent)))

    @overload
    def tools(self, tools: Mapping[str, F], *, agent: Agent | Callable[..., Agent] | None = None) -> dict[str, F]: ...

    @overload
    def tools(self, tools: Iterable[F], *, agent: Agent | Callable[..., Agent] | None = None) -> dict[str, F]: ...

    def tools(
        self, tools: Iterable[Any] | Mapping[str, Any], *, agent: Agent | Callable[..., Agent] | None = None
    ) -> dict[str, Any]:
        """Several tools and toolsets, guarded, by name."""
        if isinstance(tools, Mapping):
            return {name: self.tool(function, name=name, agent=agent) for name, function in tools.items()}
        guarded = [self.tool(function, agent=agent) for function in tools]
        return frameworks.by_name(guarded)

    def _wrapped(self, function: Callable[P, T], description: CallDescription) -> Callable[P, T]:
        return wrapped(function, description, self._begin, self._begin_async)


def _correlation_id() -> str | None:
    found: str | None = current_meta().get("correlation_id")
    return found


def _normal(name: str, fields: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields as rules see them."""
    if not fields:
        return {}
    found: dict[str, Any] = normalise(fields)
    if found.__class__ is not dict:
        raise InvalidInput(f"{name}: {found!r} is not a mapping of names to values that can be read")
    return found
