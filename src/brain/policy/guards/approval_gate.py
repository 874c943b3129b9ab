"""Holds back a call that needs a person's approval, until the answer or the time limit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brain.policy.approvals import COMPARABLE_VALUES, Approval, ApprovalStatus, canonical, unapprovable
from brain.policy.decisions import Decision
from brain.policy.guards.denials import action_denied, approval_required
from brain.policy.guards.threads import in_event_loop, pause, run_in_thread, run_ready

if TYPE_CHECKING:
    from brain.policy.engine import PolicyEngine

Context = dict[str, Any]

_REPEAT = (
    "the guard cannot wait in a thread whose event loop runs: make the tool async, or repeat the call after the answer"
)
_POLL_SECONDS = 0.1  # how often a guard that waits looks for an answer given in another process


class ApprovalOptions:
    """How a guard gets approvals: from which engine, whether it waits for the answer, and for how many seconds."""

    def __init__(self, engine: PolicyEngine, *, waits: bool, timeout: float) -> None:
        self.engine = engine
        self.waits = waits
        self.timeout = timeout


class ApprovalGate:
    """One call that needs an approval: `context` is what was decided on, `again` gives the context of this moment."""

    def __init__(
        self, options: ApprovalOptions, decision: Decision, context: Context, again: Callable[[], Context]
    ) -> None:
        if (why := unapprovable(context)) is not None:
            raise action_denied(f"{why} (approval required by: {decision.reason})", decision, remedy=COMPARABLE_VALUES)
        self.waits: bool = options.waits
        self._engine = options.engine
        self._timeout = decision.metadata.get("approval_timeout", options.timeout)
        self._decision = decision
        self._context = context
        self._again = again

    def wait(self) -> Decision:
        """The decision, once a person has agreed. Raises ActionDenied, and ApprovalRequired where it may not wait."""
        if not self.waits or in_event_loop():
            self._use_earlier()
            decision = self._decision
        else:
            answer = self._request()
            answer = self._engine.approvals.wait(answer.id, _POLL_SECONDS)
            decision = self._concluded(answer)
            self._use(answer)
        self._check_unchanged(self._again())
        return decision

    async def wait_async(self) -> Decision:
        """As `wait`, but no thread waits; the store is read and written in threads of our own."""
        if not self.waits:
            await run_in_thread(self._use_earlier)
            decision = self._decision
        else:
            answer = await self._answer()
            await run_ready(self._engine, self._context)
            decision = self._concluded(answer)
            await run_in_thread(lambda: self._use(answer))
        self._check_unchanged(self._again())
        return decision

    async def _answer(self) -> Approval:
        answer = await run_in_thread(self._request)
        while answer.status is ApprovalStatus.PENDING:
            await pause(_POLL_SECONDS)
            answer = await run_in_thread(functools.partial(self._engine.approvals.get, answer.id))
        return answer

    def _request(self) -> Approval:
        return self._engine.approvals.request(self._decision, self._context, self._timeout)

    def _use_earlier(self) -> None:
        """Let the call through when it was granted earlier; else see that it is asked for, and raise."""
        approvals = self._engine.approvals
        earlier = approvals.find(self._context)
        if earlier is not None and earlier.status is ApprovalStatus.GRANTED and approvals.use(earlier.id):
            return
        if earlier is None or earlier.status is not ApprovalStatus.PENDING:
            earlier = self._request()
        why = f"a person has to approve this ({earlier.id}): {self._decision.reason}"
        raise approval_required(why, self._decision, earlier, remedy=_REPEAT if self.waits else "")

    def _concluded(self, answer: Approval) -> Decision:
        """The decision after a person's answer. The rules are asked once more: they may have changed meanwhile."""
        asked = self._decision
        if answer.status is ApprovalStatus.REFUSED:
            said = f": {answer.answer}" if answer.answer else ""
            raise action_denied(f"refused by {answer.answered_by}{said}", asked, answer)
        if answer.status is not ApprovalStatus.GRANTED:
            raise action_denied(f"no answer came in time ({answer.id}): {asked.reason}", asked, answer)
        now = self._again()
        self._check_unchanged(now, answer)
        decision = self._engine.evaluate(now)
        if not decision.allowed:
            raise action_denied(decision.reason, decision, answer)
        return decision

    def _use(self, answer: Approval) -> None:
        if not self._engine.approvals.use(answer.id):
            raise action_denied(f"the approval was used or has expired ({answer.id})", self._decision, answer)

    def _check_unchanged(self, now: Context, answer: Approval | None = None) -> None:
        """What was approved is what runs. The environment may change: the rules are asked again with what it is."""
        changed = _changed(self._context["params"], now["params"], "params.")
        changed += _changed(_apart(self._context), _apart(now), "")
        if changed:
            why = f"{', '.join(changed)} changed after a person was asked; what was approved is not what would run"
            raise action_denied(why, self._decision, answer)


def _apart(context: Context) -> Context:
    return {name: value for name, value in context.items() if name not in ("params", "environment")}


def _changed(before: Context, now: Context, under: str) -> list[str]:
    names = [*before, *(name for name in now if name not in before)]
    return [
        under + name
        for name in names
        if (name in before) is not (name in now) or canonical(before[name]) != canonical(now[name])
    ]
