"""A circuit breaker: closed, open, half-open with one probe over all processes. Its state is a rule of the store."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ParamSpec, TypeVar

from brain.errors import InvalidInput, Unavailable
from brain.kit.protocols import CALL_FIELDS
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.policy.engine import PolicyEngine
from brain.policy.flow.calls import gated
from brain.policy.flow.state import breaker_id, breaker_rule
from brain.policy.models import Rule

P = ParamSpec("P")
T = TypeVar("T")

log: Log = Log("brain.policy")

_CLOSED = "closed"


class CircuitOpen(Unavailable):
    """The breaker is open, so the call was not tried; `retry_after` is when it may be, in seconds."""

    title = "Circuit open"

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after: float = retry_after


class Breaker:
    """A decorator for plain and async functions: after `failures` failed calls in a row, none for `open_seconds`.

    Then one call in all processes may try (half-open): when it succeeds, the breaker closes, else it opens again. While
    it is open, guards refuse what `resource`, `action` and `agent_id` name, too; and who opens it for a playbook opens
    it here. What counts as a failure is an exception of the classes `catch`. A probe that has not ended after
    `probe_seconds` is given up. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        name: str,
        *,
        failures: int = 5,
        open_seconds: float = 30.0,
        probe_seconds: float = 30.0,
        catch: type[Exception] | tuple[type[Exception], ...] = Exception,
        about: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if failures < 1 or open_seconds <= 0 or probe_seconds <= 0:
            raise InvalidInput(
                f"breaker {name}: failures {failures}, open_seconds {open_seconds:g} and probe_seconds "
                f"{probe_seconds:g} must be above 0"
            )
        if unknown := [field for field in about or () if field not in CALL_FIELDS]:
            raise InvalidInput(f"breaker {name}: about {', '.join(unknown)} is unknown; use {', '.join(CALL_FIELDS)}")
        self.name = name
        self._id = breaker_id(name)
        self._engine = engine
        self._most = failures
        self._open_seconds = open_seconds
        self._probe_seconds = probe_seconds
        self._catch = catch
        self._about = dict(about or {})
        self._clock = clock
        self._failed = 0
        self._unmoved = 0
        self._counting = InterruptibleLock()

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function behind the breaker; a call raises CircuitOpen while it is open."""
        return gated(self, function)

    def enter(self, *, may_block: bool) -> object | None:
        """Let a call go on: its token says whether it is the probe. Raises CircuitOpen, Unavailable."""
        rule = self._engine.known_rule(self._id)
        if rule is None or not rule.enabled:
            return _CLOSED
        now = self._clock()
        if rule.expires_at is None or now < rule.expires_at:
            raise self._refusal(rule, now)
        if not may_block:
            return None
        metadata = {**rule.metadata, "state": "half_open", "probe": uuid.uuid4().hex}
        probe = replace(rule, expires_at=now + self._probe_seconds, metadata=metadata)
        if self._engine.swap_rule(rule, probe, by=self._by, note=f"half-open: one call tries {self.name}"):
            return probe
        self._engine.refresh()
        return self.enter(may_block=True)

    def left(self, token: object, error: Exception | None, *, may_block: bool) -> bool:
        """A call is over: count it, and open or close the breaker where that follows."""
        failed = isinstance(error, self._catch)
        probe = token if isinstance(token, Rule) else None
        with self._counting:
            if probe is None:
                self._failed = self._failed + 1 if failed else 0
                if self._failed < self._most:
                    return True
            if not may_block:
                self._failed -= probe is None  # it is said again
                return False
            self._failed = 0
        try:
            self._move(probe, error if failed else None)
        except Unavailable as fault:
            self._unmoved += 1
            log.warning("the breaker could not be moved", breaker=self.name, error=str(fault), total=self._unmoved)
        return True

    def _move(self, probe: Rule | None, error: Exception | None) -> None:
        if error is None:
            self._engine.swap_rule(probe, None, by=self._by, note=f"closed: {self.name} answers again")
            return
        why = f"{type(error).__name__}: {error}"[:500]
        rule = breaker_rule(self.name, self._about, self._clock() + self._open_seconds, why)
        if probe is not None:
            rule = replace(rule, conditions=probe.conditions)
        self._engine.swap_rule(probe, rule, by=self._by, note=f"open: {self.name} failed")

    def _refusal(self, rule: Rule, now: float) -> CircuitOpen:
        if rule.expires_at is None:
            return CircuitOpen(f"breaker {self.name} is open until somebody closes it: {rule.description}")
        wait = rule.expires_at - now
        trying = " while one call tries" if rule.metadata.get("state") == "half_open" else ""
        return CircuitOpen(f"breaker {self.name} is open for {wait:.1f} s{trying}: {rule.description}", wait)

    @property
    def _by(self) -> str:
        return f"breaker:{self.name}"


breaker = Breaker
"""The decorator by its usual name."""
