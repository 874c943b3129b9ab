"""The guard in front of other plug-ins' effects: they find it as EffectGuard and do not import this plug-in.

All plug-ins of a process share one engine on one store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from brain.charter import Effect
from brain.kit.protocols import EffectDecision, EffectGuard
from brain.locks import InterruptibleLock
from brain.plugins import PluginContext
from brain.policy.decisions import default_decision, is_out_of_date
from brain.policy.engine import PolicyEngine
from brain.policy.guards.guard import Guard
from brain.policy.guards.threads import run_ready
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter
from brain.store import Store


@dataclass
class _Shared:
    store: Store
    engine: PolicyEngine
    users: int = 0


_shared: dict[int, _Shared] = {}
_opening = InterruptibleLock()


def acquire_engine(context: PluginContext) -> PolicyEngine:
    """The process's engine on this store; `release_engine` once for each call. Blocks. Raises Unavailable."""
    with _opening:
        shared = _shared.get(id(context.store))
        if shared is None:
            engine = MeteredEngine(
                UsageMeter(context.database),
                context.stream,
                store=context.store,
                max_rules_age=context.settings.max_rules_age,
            )
            shared = _shared[id(context.store)] = _Shared(context.store, engine)
        shared.users += 1
        return shared.engine


def release_engine(context: PluginContext) -> None:
    """Close the engine when this was its last user. Blocks."""
    with _opening:
        shared = _shared[id(context.store)]
        shared.users -= 1
        if shared.users:
            return
        del _shared[id(context.store)]
    shared.engine.close()


class PluginGuard:
    """The EffectGuard of one plug-in. The engine is opened when it is asked first."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._guard: Guard | None = None
        self._making = InterruptibleLock()

    async def check(
        self,
        agent: str | Mapping[str, Any],
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> EffectDecision:
        """The decision that lets the effect go on. Raises ActionDenied, ApprovalRequired and Unavailable."""
        return await (await self._open()).check_async(action, resource, params, agent)

    async def check_ours(
        self,
        agent: str | Mapping[str, Any],
        action: str,
        resource: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> EffectDecision:
        """As `check`; where no rule decides, it may be done."""
        guard = await self._open()
        context = guard.context(action, resource, params, agent)
        await run_ready(guard.engine, context)
        decision = guard.engine.preview(context)
        if decision.rule_id is None and not is_out_of_date(decision.reason):
            return default_decision(Effect.ALLOW)
        return await guard.check_async(action, resource, params, agent)

    async def contained(self) -> Mapping[str, float | None]:
        """The agents that are contained now, and until when, in Unix seconds. Raises Unavailable."""
        guard = await self._open()
        return {str(rule.metadata.get("agent_id")): rule.expires_at for rule in guard.engine.containments()}

    async def close(self) -> None:
        """Let go of the engine."""
        if self._guard is not None:
            self._guard = None
            await asyncio.to_thread(release_engine, self._context)

    async def _open(self) -> Guard:
        return self._guard if self._guard is not None else await asyncio.to_thread(self._opened)

    def _opened(self) -> Guard:
        with self._making:
            if self._guard is None:
                self._guard = Guard(acquire_engine(self._context), on_approval="raise")
            return self._guard


def effect_guard(context: PluginContext) -> EffectGuard:
    """A guard over the rules of this process's store, its decisions recorded on its stream."""
    return PluginGuard(context)
