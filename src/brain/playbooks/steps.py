"""The kinds of steps: what each needs, whether it may be repeated, and what it does."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from brain.charter import correlation
from brain.errors import InvalidInput
from brain.kit.protocols import CALL_FIELDS, PolicyMeasures
from brain.playbooks.commands_run import StepFailed, run_command
from brain.playbooks.models import AGENT_PREFIX, Callback, Step
from brain.playbooks.records import Run
from brain.playbooks.systemd import restart_unit, restarted_since
from brain.secret import Secret

ANSWER_BYTES = 4096


@dataclass(frozen=True)
class Effects:
    """What steps work with."""

    measures: PolicyMeasures | None
    callbacks: Mapping[str, Callback]
    has_acted: Callable[[str], Awaitable[bool]]
    """Whether recorded events know an agent of this id."""


@dataclass(frozen=True)
class Doing:
    """One attempt of a step: its options with the event's values, and its run."""

    step: Step
    options: Mapping[str, Any]
    run: Run
    effects: Effects

    @property
    def by(self) -> str:
        """Who does it, for what is changed."""
        return str(self.options.get("by", f"{AGENT_PREFIX}{self.run.playbook.name}"))

    @property
    def reason(self) -> str:
        """Why, for what is changed."""
        return str(self.options.get("reason", f"playbook {self.run.playbook.name}, run {self.run.id}"))

    @property
    def measures(self) -> PolicyMeasures:
        """What changes rules. Raises StepFailed where no plug-in provides it."""
        if self.effects.measures is None:
            raise StepFailed("no installed plug-in changes rules")
        return self.effects.measures


@dataclass(frozen=True)
class Kind:
    """A kind of step. `target` names the option that is the resource in decisions."""

    do: Callable[[Doing], Awaitable[str]]
    required: Sequence[str]
    optional: Sequence[str] = ()
    target: str = ""
    idempotent: bool = False
    one_of: Sequence[str] = ()
    was_done: Callable[[Doing, float], Awaitable[bool | None]] | None = None
    """Whether an attempt since that Unix time did it; None where nobody knows."""


async def _restart(doing: Doing) -> str:
    options = doing.options
    if "callback" in options:
        return await _call(doing)
    if "unit" in options:
        return await restart_unit(options, doing.run)
    return await run_command([str(word) for word in options["command"]], doing.run)


async def _was_restarted(doing: Doing, since: float) -> bool | None:
    return await restarted_since(doing.options, doing.run, since) if "unit" in doing.options else None


async def _call(doing: Doing) -> str:
    callback = find_callback(str(doing.options["callback"]), doing.effects.callbacks)
    event, key = doing.run.event, doing.run.key

    def call() -> Any:
        return callback(event, key)

    result = call() if inspect.iscoroutinefunction(callback) else await asyncio.to_thread(call)
    return str((await result if inspect.isawaitable(result) else result) or "called")


async def _contain(doing: Doing) -> str:
    options = doing.options
    seconds = float(options.get("seconds", 900))
    agent = str(options["agent"])
    done = await doing.measures.contain(agent, ttl=seconds, reason=doing.reason, by=doing.by, key=doing.run.key)
    if doing.run.event.get("payload", {}).get("agent_id") == agent or await doing.effects.has_acted(agent):
        return done
    return f"{done}, but no recorded event says what an agent of this name did"


async def _lift(doing: Doing) -> str:
    return await doing.measures.lift(str(doing.options["agent"]), reason=doing.reason, by=doing.by)


async def _rule(doing: Doing) -> str:
    rule = {**doing.options["rule"], "mode": "shadow"}
    return await doing.measures.put_rule(rule, reason=doing.reason, by=doing.by)


async def _breaker(doing: Doing) -> str:
    """Every guard and every decorated call of the fleet obeys it at once."""
    name, seconds = str(doing.options["breaker"]), float(doing.options.get("seconds", 60))
    until = doing.run.created_at + seconds  # the same in each attempt
    done = await doing.measures.open_breaker(name, _about(doing), until=until, reason=doing.reason, by=doing.by)
    return f"{done} for {seconds:g} s"


async def _limit(doing: Doing) -> str:
    """Likewise; it ends by itself."""
    options = doing.options
    name, seconds = str(options["limit"]), float(options.get("seconds", 600))
    done = await doing.measures.lower_limit(
        name,
        _about(doing),
        calls=int(options["calls"]),
        window=str(options.get("window", "minute")),
        until=doing.run.created_at + seconds,
        reason=doing.reason,
        by=doing.by,
    )
    return f"{done} for {seconds:g} s"


def _about(doing: Doing) -> dict[str, str]:
    """What guards refuse."""
    return {field: str(doing.options[field]) for field in CALL_FIELDS if field in doing.options}


async def _webhook(doing: Doing) -> str:
    from brain.connectors.sender import Sender, json_request
    from brain.connectors.webhook import message_id, sign

    options, run = doing.options, doing.run
    body = options.get("body", {"playbook": run.playbook.name, "run": run.id, "event": dict(run.event)})
    given = {str(name): str(value) for name, value in options.get("headers", {}).items()}
    request = json_request("POST", str(options["url"]), body, headers={"Idempotency-Key": run.key, **given})
    if "key" in options:
        signed = sign(Secret(**options["key"]), message_id(run.key), request.body, time.time())
        request = replace(request, headers={**request.headers, **signed})
    async with Sender() as sender:
        answer = await sender.send("the playbook's webhook", request, retry=is_idempotent(doing.step))
    return f"answered {answer.status}"


async def _ask(doing: Doing) -> str:
    return "a person agreed"


KINDS: Mapping[str, Kind] = {
    "restart": Kind(
        _restart,
        (),
        ("command", "unit", "user", "callback"),
        "unit",
        one_of=("command", "unit", "callback"),
        was_done=_was_restarted,
    ),
    "call": Kind(_call, ("callback",), (), "callback"),
    "contain": Kind(_contain, ("agent",), ("seconds", "reason", "by"), "agent", idempotent=True),
    "lift": Kind(_lift, ("agent",), ("reason", "by"), "agent", idempotent=True),
    "open_breaker": Kind(_breaker, ("breaker",), ("seconds", "reason", *CALL_FIELDS), "breaker", idempotent=True),
    "lower_limit": Kind(
        _limit, ("limit", "calls"), ("window", "seconds", "reason", *CALL_FIELDS), "limit", idempotent=True
    ),
    "shadow_rule": Kind(_rule, ("rule",), ("reason",), "", idempotent=True),
    "webhook": Kind(_webhook, ("url",), ("body", "headers", "key"), "url"),
    "ask": Kind(_ask, ("question",), (), "", idempotent=True),
}
"""The kinds of steps, by name."""


def is_idempotent(step: Step) -> bool:
    """Whether the step may be repeated when nobody knows whether it was done."""
    return KINDS[step.kind].idempotent if step.idempotent is None else step.idempotent


async def perform(step: Step, doing: Doing) -> str:
    """Do the step within its time; what was done, in words. Raises StepFailed, and what its kind raises."""
    with correlation(**doing.run.meta):
        try:
            async with asyncio.timeout(step.timeout):
                return await KINDS[step.kind].do(doing)
        except TimeoutError as error:
            raise StepFailed(f"took more than {step.timeout:g} s") from error


def find_callback(name: str, callbacks: Mapping[str, Callback]) -> Callback:
    """The callback of that name: one that was registered, or module:function. Raises InvalidInput."""
    if name in callbacks:
        return callbacks[name]
    module, _, attribute = name.partition(":")
    try:
        found: Callback = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(f"callback: {name!r} cannot be imported: {error}") from error
    return found
