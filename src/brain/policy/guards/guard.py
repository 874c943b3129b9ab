"""Guards: the engine's decision in front of people's own functions and of agents' tools."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal, ParamSpec, TypeVar, cast

from brain.errors import BrainError, InvalidInput
from brain.policy.approvals import DEFAULT_TIMEOUT, Approval, Status
from brain.policy.decisions import Decision
from brain.policy.engine import PolicyEngine
from brain.policy.plain import plain

P = ParamSpec("P")
T = TypeVar("T")
Agent = Mapping[str, Any] | str
"""An agent's id, or the fields of the context that say who acts: `agent_id`, `agent_role`, ..."""

_POLL_SECONDS = 0.1  # how often a guard that waits looks for an answer given in another process
_acting: ContextVar[Agent | None] = ContextVar("brain_acting_agent", default=None)


class ActionDenied(BrainError):
    """The policy does not allow the action: `decision` says why, `approval` what a person was asked, if one was."""

    status = 403
    title = "Action denied"

    def __init__(self, message: str, decision: Decision, approval: Approval | None = None) -> None:
        super().__init__(message)
        self.decision = decision
        self.approval = approval


class ApprovalRequired(ActionDenied):
    """The action has to wait for a person: `approval` is the request. Once granted, the same call goes through."""

    title = "Approval required"
    approval: Approval


@contextmanager
def acting_as(agent: Agent, **more: Any) -> Iterator[None]:
    """Inside this block guards decide for `agent`, an id or a mapping; `more` adds fields such as `agent_role`."""
    fields = {"agent_id": agent} if isinstance(agent, str) else dict(agent)
    token = _acting.set({**fields, **more})
    try:
        yield
    finally:
        _acting.reset(token)


class Guard:
    """Asks `engine` before an action is done, and raises ActionDenied when it may not be.

    Who acts is `agent` of the call or decorator, else of the guard (an id, a mapping, or a function that gives either),
    else what `acting_as` says. When a rule asks for a person's approval, a guard with `on_approval="wait"` waits up to
    `approval_timeout` seconds for the answer; with "raise" it raises ApprovalRequired at once, and lets the same call
    through, once, when it is repeated after the answer.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        *,
        agent: Agent | Callable[[], Agent] | None = None,
        environment: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        on_approval: Literal["wait", "raise"] = "wait",
        approval_timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if on_approval not in ("wait", "raise"):
            raise InvalidInput(f"on_approval: {on_approval!r} is neither wait nor raise")
        self.engine = engine
        self._agent = agent
        self._environment = environment
        self._waits = on_approval == "wait"
        self._timeout = approval_timeout

    def context(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> dict[str, Any]:
        """The context that is decided on."""
        who = agent if agent is not None else self._agent() if callable(self._agent) else self._agent
        who = who if who is not None else _acting.get()
        fields = {"agent_id": who} if isinstance(who, str) else dict(who or {})
        around = self._environment() if callable(self._environment) else self._environment
        context = {"environment": dict(around or {}), **fields, "action": action, "params": dict(params or {})}
        if resource is not None:
            context["resource"] = resource
        return context

    def check(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> Decision:
        """The decision, when the action may be done; may block while it waits for a person. Raises ActionDenied."""
        context = self.context(action, resource, params, agent)
        decision = self.engine.evaluate(context)
        if decision.allowed and not decision.requires_approval:
            return decision
        approval = self._approval(context, decision)
        if approval is None:
            return decision
        return self._concluded(context, decision, self.engine.approvals.wait(approval.id, _POLL_SECONDS))

    async def check_async(
        self,
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
        agent: Agent | None = None,
    ) -> Decision:
        """As `check`, without blocking the event loop."""
        context = self.context(action, resource, params, agent)
        decision = self.engine.evaluate(context)
        if decision.allowed and not decision.requires_approval:
            return decision
        approval = await asyncio.to_thread(self._approval, context, decision)
        if approval is None:
            return decision
        while approval.status is Status.PENDING:
            await asyncio.sleep(_POLL_SECONDS)
            approval = await asyncio.to_thread(self.engine.approvals.get, approval.id)
        return await asyncio.to_thread(self._concluded, context, decision, approval)

    def _approval(self, context: Mapping[str, Any], decision: Decision) -> Approval | None:
        """The request to wait for; None when an earlier answer lets the action through. Raises ActionDenied."""
        if not decision.allowed:
            raise ActionDenied(decision.reason, decision)
        approvals = self.engine.approvals
        timeout = decision.metadata.get("approval_timeout", self._timeout)
        if self._waits:
            return approvals.request(decision, context, timeout)
        earlier = approvals.find(context)
        if earlier is not None and earlier.status is Status.GRANTED and approvals.use(earlier.id):
            return None
        if earlier is None or earlier.status is not Status.PENDING:
            earlier = approvals.request(decision, context, timeout)
        raise ApprovalRequired(f"a person has to approve this ({earlier.id}): {decision.reason}", decision, earlier)

    def _concluded(self, context: Mapping[str, Any], asked: Decision, answer: Approval) -> Decision:
        """The decision, after a person's answer. The rules are asked once more: they may have changed meanwhile."""
        if answer.status is Status.REFUSED:
            said = f": {answer.answer}" if answer.answer else ""
            raise ActionDenied(f"refused by {answer.answered_by}{said}", asked, answer)
        if answer.status is not Status.GRANTED:
            raise ActionDenied(f"nobody approved it in time ({answer.id}): {asked.reason}", asked, answer)
        decision = self.engine.evaluate(context)
        if not decision.allowed:
            raise ActionDenied(decision.reason, decision, answer)
        if not self.engine.approvals.use(answer.id):
            raise ActionDenied(f"the approval counts no longer ({answer.id})", decision, answer)
        return decision

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
        arguments. `params` are the call's arguments, unless it names some of them, or is a function of them.
        """
        described = _Described(action, resource, params, agent)

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            return self._wrapped(function, described)

        return decorate

    def tool(
        self,
        function: Callable[P, T],
        *,
        name: str | None = None,
        resource: str | Callable[..., str | None] | None = None,
        agent: Agent | Callable[..., Agent] | None = None,
    ) -> Callable[P, T]:
        """An agent's tool, guarded: its name is the action, its arguments are the params."""
        action = name or getattr(function, "name", None) or getattr(function, "__name__", None)
        if not isinstance(action, str):
            raise InvalidInput(f"name: {function!r} has no name; give one")
        return self._wrapped(function, _Described(action, resource, None, agent))

    def tools(
        self, tools: Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]], *, agent: Agent | None = None
    ) -> dict[str, Callable[..., Any]]:
        """Several tools, guarded, by name."""
        if isinstance(tools, Mapping):
            return {name: self.tool(function, name=name, agent=agent) for name, function in tools.items()}
        guarded = [self.tool(function, agent=agent) for function in tools]
        return {getattr(each, "__guarded_action__"): each for each in guarded}  # noqa: B009  (set by _wrapped)

    def _wrapped(self, function: Callable[P, T], described: _Described) -> Callable[P, T]:
        call = getattr(function, "__call__", function)  # noqa: B004  (an object's own __call__ may be the async one)
        target = function if inspect.isroutine(function) or inspect.isclass(function) else call
        describe = described.binder(function)

        if inspect.iscoroutinefunction(target):

            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                await self.check_async(*describe(args, kwargs))
                return await cast(Any, function)(*args, **kwargs)

            wrapper: Any = guarded_async
        elif inspect.isasyncgenfunction(target):

            async def guarded_asyncgen(*args: Any, **kwargs: Any) -> Any:
                await self.check_async(*describe(args, kwargs))
                async for item in cast(Any, function)(*args, **kwargs):
                    yield item

            wrapper = guarded_asyncgen
        else:

            def guarded(*args: Any, **kwargs: Any) -> Any:
                self.check(*describe(args, kwargs))
                return cast(Any, function)(*args, **kwargs)

            wrapper = guarded
        functools.update_wrapper(wrapper, function)
        wrapper.__guarded_action__ = described.action
        return cast(Callable[P, T], wrapper)


class _Described:
    """How the arguments of a call become what is decided on."""

    def __init__(self, action: str, resource: Any, params: Any, agent: Any) -> None:
        self.action = action
        self._resource = resource
        self._params = params if callable(params) or params is None else tuple(params)
        self._agent = agent

    def binder(self, function: Callable[..., Any]) -> Callable[[Any, Any], tuple[str, str | None, Any, Agent | None]]:
        """A function of a call's arguments that gives action, resource, params and agent."""
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # some built-in functions do not tell
            signature = inspect.signature(lambda *args, **kwargs: None)

        def describe(args: Any, kwargs: Any) -> tuple[str, str | None, Any, Agent | None]:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            named = _named(bound)
            if callable(self._params):
                params = plain(self._params(*args, **kwargs))
            else:
                wanted = named if self._params is None else {name: named[name] for name in self._params}
                params = plain({name: value for name, value in wanted.items() if name not in ("self", "cls")})
            resource = self._resource
            if callable(resource):
                resource = resource(*args, **kwargs)
            elif resource is not None:
                resource = resource.format_map(named)
            agent = self._agent(*args, **kwargs) if callable(self._agent) else self._agent
            return self.action, resource, params, agent

        return describe


def _named(bound: inspect.BoundArguments) -> dict[str, Any]:
    """The arguments by name; those of `**kwargs` beside the others."""
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        else:
            named[name] = value
    return named
