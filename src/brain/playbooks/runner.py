"""Runs playbooks: takes what is due, does the steps, waits, verifies, ends. Any process with this database does it."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import sqlalchemy as sa

from brain.errors import BrainError
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.leases import LeaseLost
from brain.kit.protocols import EffectDecision, EffectGuard, PolicyMeasures
from brain.logs import Log
from brain.playbooks.agents import has_acted
from brain.playbooks.commands_run import StepFailed, run_command
from brain.playbooks.conditions import filled
from brain.playbooks.models import Callback, RunState, Step, StepState, agent_of
from brain.playbooks.records import Begun, Run, RunRecords
from brain.playbooks.settings import PlaybookSettings
from brain.playbooks.steps import KINDS, Doing, Effects, is_idempotent, perform
from brain.plugins import PluginContext
from brain.redaction import redacted_text
from brain.stream.change_signal import ChangeSignal
from brain.stream.retry import Backoff

log: Log = Log("brain.playbooks")

AT_ONCE = 8
"""Runs that one process works at."""
LOOK = 5.0
"""Seconds between two looks when nothing is due: for runs that other processes began."""
RETRY = 1.0
"""Seconds after which a run is taken again that another process has, or that could not go on."""
AFTER_LOOK = 0.2
"""Seconds between two looks whether the run is over that another one comes after."""
APPROVAL_LOOK = 1.0
"""Seconds between two looks whether the person whom a rule names has answered."""


class Runner:
    """Works at runs until it is cancelled."""

    def __init__(
        self,
        context: PluginContext,
        records: RunRecords,
        callbacks: Mapping[str, Callback],
        news: ChangeSignal,
    ) -> None:
        self.outages: int = 0
        self._database: sa.Engine = context.database
        self._stream = context.stream
        self._settings = context.table(PlaybookSettings)
        self._records = records
        self._news = news
        self._guard = context.find(EffectGuard)
        self._effects = Effects(context.find(PolicyMeasures), callbacks, self._has_acted)
        self._holder = f"{socket.gethostname()[:80]} {os.getpid()} {uuid.uuid4().hex[:8]}"
        self._working: dict[str, asyncio.Task[None]] = {}

    async def _has_acted(self, agent: str) -> bool:
        return await self._stream.call(has_acted, self._stream.backend, agent)

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff(0.1, 5.0)
        try:
            with self._news.listen() as news:
                while True:
                    news.clear()
                    try:
                        wait = await self._begin_due()
                    except OUTAGE as error:
                        self.outages += 1
                        log.warning("playbooks wait for the database", error=str(error))
                        wait = backoff.next_delay()
                    else:
                        backoff.reset()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await news.wait()
        finally:
            await self._stop()

    async def close(self) -> None:
        """Let go of the rules."""
        if self._guard is not None:
            await self._guard.close()
        if self._effects.measures is not None:
            await self._effects.measures.close()

    async def _stop(self) -> None:
        tasks = [*self._working.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin_due(self) -> float:
        """Begin with what is due; seconds until the next look."""
        found = await for_tasks(self._database, self._records.due)
        for id in found:
            if len(self._working) < AT_ONCE and id not in self._working:
                task = self._working[id] = asyncio.create_task(self._work(id))
                task.add_done_callback(lambda _, id=id: self._done(id))  # type: ignore[misc]
        if set(found) - set(self._working):
            return LOOK  # one that ends wakes us
        due = await for_tasks(self._database, self._records.next_due)
        if due is None:
            return LOOK
        return min(LOOK, max(0.0, due - self._records.clock())) if due > self._records.clock() else 0.25

    def _done(self, id: str) -> None:
        self._working.pop(id, None)
        self._news.notify()

    async def _work(self, id: str) -> None:
        """Take the run and go on with it as far as it goes now."""
        try:
            run = await for_tasks(self._database, self._records.take, id, self._holder)
            if run is None:
                await asyncio.sleep(min(RETRY, self._records.lease_seconds / 4))  # another process works at it
            else:
                await self._go_on(run)
        except* LeaseLost:
            log.warning("a run went to another process", run=id)
        except* Exception as errors:  # noqa: BLE001  (the run is taken again; others go on)
            self.outages += 1
            log.warning("a run waits: it could not go on now", run=id, error=str(errors.exceptions[0]))
            await asyncio.sleep(RETRY)

    async def _go_on(self, run: Run) -> None:
        async with self._held(run):
            while await self._advance(run):
                run = await for_tasks(self._database, self._records.again, run)

    @asynccontextmanager
    async def _held(self, run: Run) -> AsyncIterator[None]:
        """Hold the run's lease inside of the block; the block ends when it is lost."""
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(self._renew(run))
            try:
                yield
            finally:
                renewing.cancel()
        with suppress(LeaseLost, *OUTAGE):
            await for_tasks(self._database, self._records.release, run)

    async def _renew(self, run: Run) -> None:
        while True:
            await asyncio.sleep(self._records.lease_seconds / 3)
            await for_tasks(self._database, self._records.renew, run)

    async def _advance(self, run: Run) -> bool:
        """One move of the run; whether there may be another one now."""
        now = self._records.clock()
        if run.state is RunState.VERIFYING or (run.present is None and run.verified is not None):
            return await self._verify(run, now)
        if now > run.created_at + run.playbook.timeout:
            return await self._finish(run, RunState.FAILED, f"it was not over within {run.playbook.timeout:g} s")
        if run.present is None:
            return await self._steps_done(run)
        if run.step == 0 and run.playbook.after and await for_tasks(self._database, self._records.comes_after, run):
            await for_tasks(self._database, self._records.wait, run, AFTER_LOOK)
            return False
        return await self._step(run, run.present, await self._begun(run))

    async def _begun(self, run: Run) -> Begun | None:
        return await for_tasks(self._database, self._records.begun, run)

    async def _step(self, run: Run, step: Step, begun: Begun | None) -> bool:
        if begun is not None and begun.state in (StepState.FAILED, StepState.DENIED):
            return await self._finish(run, RunState.FAILED, f"step {run.step + 1} ({step.kind}) was not done")
        if begun is not None:
            return await self._recover(run, step, begun)
        try:
            options = filled(step.options, run.event)
        except BrainError as error:
            return await self._failed(run, StepState.FAILED, str(error))
        if step.kind == "ask" and not run.dry_run and (answered := await self._asked(run, options)) is not None:
            return answered
        decision = await self._decide(run, step, options)
        if isinstance(decision, bool):
            return decision
        if run.dry_run:
            shown = ", ".join(f"{name}={value}" for name, value in options.items())
            await self._end(run, StepState.DRY_RUN, f"would {step.kind}: {shown}")
            return True
        return await self._do(run, step, options, 1, decision.rule_id)

    async def _asked(self, run: Run, options: Mapping[str, Any]) -> bool | None:
        """None when the person agreed; else as `_advance`."""
        if not run.asked:
            await for_tasks(self._database, self._records.ask, run, str(options["question"]))
            return False
        if run.answer is None:
            return False
        return None if run.answer else await self._failed(run, StepState.DENIED, "a person said no")

    async def _decide(self, run: Run, step: Step, options: Mapping[str, Any]) -> EffectDecision | bool:
        """The decision that lets the step go on; else as `_advance`."""
        if self._guard is None:
            return await self._failed(run, StepState.DENIED, "no installed plug-in decides")
        check = self._guard.check_ours if self._settings.no_rule == "allow" else self._guard.check
        target = options.get(KINDS[step.kind].target)
        params = {"run": run.id, "playbook": run.playbook.name, "subject": run.subject, **options}
        try:
            return await check(
                agent_of(run.playbook.name), f"playbook.{step.kind}", None if target is None else str(target), params
            )
        except OUTAGE:
            raise
        except BrainError as error:
            if _waits_for_a_person(error):
                await for_tasks(self._database, self._records.wait, run, APPROVAL_LOOK)
                return False
            return await self._failed(run, StepState.DENIED, str(error))

    async def _recover(self, run: Run, step: Step, begun: Begun) -> bool:
        """Go on with a step that was started by a process that is gone: nobody knows whether it was done."""
        if begun.state is StepState.UNCERTAIN and run.answer is not None:
            if run.answer:
                await self._end(run, StepState.DONE, "a person says that it was done")
                return True
        elif begun.state is StepState.UNCERTAIN:
            return False
        elif not is_idempotent(step):
            done = await self._was_done(run, step, begun)
            if done is None:
                return await self._uncertain(run, step)
            if done:
                await self._end(run, StepState.DONE, "it was done before the process ended")
                return True
        try:
            options = filled(step.options, run.event)
        except BrainError as error:
            return await self._failed(run, StepState.FAILED, str(error))
        return await self._do(run, step, options, begun.attempt + 1, None)

    async def _was_done(self, run: Run, step: Step, begun: Begun) -> bool | None:
        """Whether the attempt that was begun did it; None where neither the step nor its kind can tell."""
        check = KINDS[step.kind].was_done
        if not step.done_if:
            if check is None:
                return None
            options = filled(step.options, run.event)
            try:
                async with asyncio.timeout(step.timeout):
                    return await check(Doing(step, options, run, self._effects), begun.started_at)
            except TimeoutError:
                return None
        try:
            async with asyncio.timeout(step.timeout):
                values = {**run.event, "step": {"key": run.key}}
                await run_command([str(word) for word in filled(step.done_if, values)], run)
        except (StepFailed, TimeoutError):
            return False
        return True

    async def _uncertain(self, run: Run, step: Step) -> bool:
        """A step that may not be repeated: let the verification decide after the last one, else a person."""
        await self._end(run, StepState.UNCERTAIN, "the process ended during the step; it is not repeated by itself")
        if run.step + 1 == len(run.playbook.steps) and run.playbook.verify is not None:
            await for_tasks(self._database, self._records.verify, run, run.playbook.verify.within)
        else:
            question = f"Step {run.step + 1} ({step.kind}) was started before a crash. Was it done?"
            await for_tasks(self._database, self._records.ask, run, question)
        return False

    async def _do(self, run: Run, step: Step, options: Mapping[str, Any], attempt: int, rule_id: str | None) -> bool:
        await for_tasks(self._database, self._records.start_step, run, attempt, rule_id)
        try:
            done = await perform(step, Doing(step, options, run, self._effects))
        except Exception as error:  # noqa: BLE001  (a step may raise anything; recorded and published)
            log.error("a step of a playbook failed", run=run.id, step=run.step + 1, kind=step.kind, error=str(error))
            return await self._failed(run, StepState.FAILED, f"{type(error).__name__}: {error}")
        await self._end(run, StepState.DONE, done)
        return True

    async def _end(self, run: Run, state: StepState, detail: str) -> None:
        await for_tasks(self._database, self._records.end_step, run, state, detail)

    async def _failed(self, run: Run, state: StepState, detail: str) -> bool:
        detail = redacted_text(detail)  # an error may quote what it was given
        await self._end(run, state, detail)
        return await self._finish(run, RunState.FAILED, f"step {run.step + 1}: {detail}")

    async def _steps_done(self, run: Run) -> bool:
        if run.playbook.verify is None or run.dry_run:
            return await self._finish(run, RunState.SUCCEEDED, "dry run" if run.dry_run else "all steps are done")
        await for_tasks(self._database, self._records.verify, run, run.playbook.verify.within)
        return False

    async def _verify(self, run: Run, now: float) -> bool:
        verify = run.playbook.verify
        assert verify is not None
        helped = run.verified
        if helped is None:
            if run.verify_until is not None and now < run.verify_until:
                return False
            helped = verify.absent
        silence = f"no {verify.event} within {verify.within:g} s"
        came = silence if helped is verify.absent else f"{verify.event} came"
        words = f"{'it helped' if helped else 'it did not help'}: {came}"
        state = RunState.SUCCEEDED if helped else RunState.FAILED
        return await self._finish(run, state, words, helped)

    async def _finish(self, run: Run, state: RunState, reason: str, verified: bool | None = None) -> bool:
        await for_tasks(self._database, self._records.finish, run, state, reason, verified)
        return False


def _waits_for_a_person(error: BrainError) -> bool:
    """Whether the guard asks a person, as EffectGuard says: `approval` is the request."""
    approval = getattr(error, "approval", None)
    return approval is not None and str(approval.status) == "PENDING"
