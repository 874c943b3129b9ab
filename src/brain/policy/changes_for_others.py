"""Containments and rules that other plug-ins make: they find this as PolicyMeasures and do not import this plug-in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from brain.errors import NotFound
from brain.kit.protocols import PolicyMeasures
from brain.locks import InterruptibleLock
from brain.plugins import PluginContext
from brain.policy.effects import acquire_engine, release_engine
from brain.policy.engine import PolicyEngine
from brain.policy.flow.state import breaker_rule, limit_rule
from brain.policy.models import Rule

T = TypeVar("T")


class PluginMeasures:
    """The PolicyMeasures of one plug-in. The engine is opened when something is changed first."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._engine: PolicyEngine | None = None
        self._making = InterruptibleLock()

    async def contain(self, agent_id: str, *, ttl: float, reason: str, by: str, key: str) -> str:
        """Contain the agent; what was done. Raises InvalidInput and Unavailable."""

        def contain(engine: PolicyEngine) -> str:
            present = _containment(engine, agent_id)
            if present is not None and present.metadata.get("by") != by:
                return f"{agent_id} is contained by {present.metadata.get('by') or 'somebody'} already"
            engine.contain(agent_id, ttl=ttl, reason=reason, by=by, key=key)
            return f"{agent_id} is contained for {ttl:g} s"

        return await self._change(contain)

    async def lift(self, agent_id: str, *, reason: str, by: str) -> str:
        """Lift the containment that `by` made; what was done. Raises Unavailable."""

        def lift(engine: PolicyEngine) -> str:
            present = _containment(engine, agent_id)
            if present is None:
                return f"{agent_id} is not contained"
            if present.metadata.get("by") != by:
                return f"{agent_id} is contained by {present.metadata.get('by') or 'somebody'}, which stays"
            try:
                engine.lift(agent_id, by=by, reason=reason)
            except NotFound:
                return f"{agent_id} is not contained any more"
            return f"the containment of {agent_id} is lifted"

        return await self._change(lift)

    async def put_rule(self, rule: Mapping[str, Any], *, reason: str, by: str) -> str:
        """Put the rule; what was done. Raises InvalidInput and Unavailable."""
        new = Rule.from_dict(dict(rule))
        return await self._put(new, reason, by, f"rule {new.id} is there, in mode {new.mode.value}")

    async def open_breaker(self, name: str, about: Mapping[str, str], *, until: float, reason: str, by: str) -> str:
        """Open the breaker; what was done. Raises InvalidInput and Unavailable."""
        return await self._put(breaker_rule(name, about, until, reason), reason, by, f"breaker {name} is open")

    async def lower_limit(
        self, name: str, about: Mapping[str, str], *, calls: int, window: str, until: float, reason: str, by: str
    ) -> str:
        """Lower the limit; what was done. Raises InvalidInput and Unavailable."""
        rule = limit_rule(name, calls, window, until, reason, about)
        return await self._put(rule, reason, by, f"limit {name} is {calls} calls a {window}")

    async def close(self) -> None:
        """Let go of the engine."""
        if self._engine is not None:
            self._engine = None
            await asyncio.to_thread(release_engine, self._context)

    async def _put(self, rule: Rule, reason: str, by: str, done: str) -> str:
        await self._change(lambda engine: engine.import_rules([rule], by=by, note=reason))
        return done

    async def _change(self, change: Callable[[PolicyEngine], T]) -> T:
        return await asyncio.to_thread(lambda: change(self._opened()))

    def _opened(self) -> PolicyEngine:
        with self._making:
            if self._engine is None:
                self._engine = acquire_engine(self._context)
            return self._engine


def _containment(engine: PolicyEngine, agent_id: str) -> Rule | None:
    return next((rule for rule in engine.containments() if rule.metadata.get("agent_id") == agent_id), None)


def policy_measures(context: PluginContext) -> PolicyMeasures:
    """Changes to the rules of this process's store, announced on its stream."""
    return PluginMeasures(context)
