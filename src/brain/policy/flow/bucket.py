"""A rate limiter: a token bucket, shared by all processes where the engine counts usage in a database."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, ParamSpec, TypeVar

from brain.errors import BrainError, InvalidInput
from brain.locks import InterruptibleLock
from brain.policy.engine import PolicyEngine
from brain.policy.flow.calls import gated
from brain.policy.flow.state import limit_id
from brain.policy.guards.agent_context import acting_agent
from brain.policy.models import Rule
from brain.policy.token_bucket import filled
from brain.policy.usage_windows import SECONDS

P = ParamSpec("P")
T = TypeVar("T")

MAX_BUCKETS: Final = 10_000
"""Of so many agents the tokens at hand are known; those of the agent seen longest ago are given up."""

HELD: Final = 1.0
"""Tokens at hand that are not used for so many seconds are given up: they come back as the bucket fills."""

SHARE: Final = 16
"""A process takes so small a part of the shared bucket at a time, and at least one token."""


class LimitExceeded(BrainError):
    """More calls than the limit lets through; `retry_after` is when the next one may be, in seconds."""

    status = 429
    title = "Too many calls"

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after: float = retry_after


class Rate(NamedTuple):
    """So many calls in so many seconds, and how many at once."""

    calls: float
    per: float
    burst: float


class _Tokens:
    """What a process has of a bucket: tokens until then, or none before that."""

    __slots__ = ("empty_until", "left", "rate", "until")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.left: int = 0
        self.until: float = 0.0
        self.empty_until: float = 0.0


class Limiter:
    """A decorator for plain and async functions: at most `rate` calls in `per` seconds, `burst` of them at once.

    It is a token bucket. With a MeteredEngine it is one for all processes of its database, from which each takes a few
    tokens at a time; else one of this process. With `each_agent` every acting agent has its own. A limit of that name
    in the rules, as a playbook puts it, counts while it is lower; one for an agent is a bucket of that agent. `clock`
    gives Unix seconds.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        name: str,
        *,
        rate: float,
        per: float = 1.0,
        burst: float | None = None,
        each_agent: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not (rate > 0 and per > 0 and (burst is None or burst >= 1)):
            raise InvalidInput(f"limiter {name}: rate {rate:g} and per {per:g} must be above 0, burst at least 1")
        self.name = name
        self._id = limit_id(name)
        self._engine = engine
        self._rate = Rate(rate, per, max(1.0, rate if burst is None else burst))
        self._each_agent = each_agent
        self._clock = clock
        self._store = engine.buckets
        self._full: OrderedDict[str, float] = OrderedDict()  # without a store: when each bucket is full again
        self._tokens: OrderedDict[str, _Tokens] = OrderedDict()
        self._taking = InterruptibleLock()

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """The function behind the limiter; a call raises LimitExceeded when there are too many."""
        return gated(self, function)

    def enter(self, *, may_block: bool) -> object | None:
        """Let a call go on. Raises LimitExceeded, Unavailable."""
        agent = str((acting_agent() or {}).get("agent_id") or "")
        key, rate = self._applied(agent)
        now = self._clock()
        with self._taking:
            tokens = self._known(key, rate)
            if now < tokens.until and tokens.left > 0:
                tokens.left -= 1
                return tokens
            if now < tokens.empty_until:
                raise self._refusal(key, rate, tokens.empty_until - now)
        if self._store is not None and not may_block:
            return None
        granted, wait = self._lease(key, rate, now)
        with self._taking:
            if not granted:
                tokens.empty_until = now + wait
                raise self._refusal(key, rate, wait)
            tokens.left, tokens.until = (tokens.left if now < tokens.until else 0) + granted - 1, now + HELD
        return tokens

    def left(self, token: object, error: Exception | None, *, may_block: bool) -> bool:
        """A call is over; a limiter does not care."""
        return True

    def _applied(self, agent: str) -> tuple[str, Rate]:
        """Which bucket counts, and its rate."""
        now = self._clock()
        own = self._engine.known_rule(limit_id(self.name, agent)) if agent else None
        if own is not None and own.active_at(now):
            return agent, min(self._rate, _rate(own), key=_speed)
        rule = self._engine.known_rule(self._id)
        lowered = _rate(rule) if rule is not None and rule.active_at(now) else self._rate
        return agent if self._each_agent else "", min(self._rate, lowered, key=_speed)

    def _known(self, key: str, rate: Rate) -> _Tokens:
        tokens = self._tokens.get(key)
        if tokens is None or tokens.rate != rate:
            tokens = self._tokens[key] = _Tokens(rate)
            if len(self._tokens) > MAX_BUCKETS:
                self._tokens.popitem(last=False)
        self._tokens.move_to_end(key)
        return tokens

    def _lease(self, key: str, rate: Rate, now: float) -> tuple[int, float]:
        """Tokens of the bucket, or after how many seconds there is one."""
        if rate.calls <= 0:
            return 0, rate.per
        speed = _speed(rate)
        if self._store is not None:
            return self._store.fill(f"{self.name}\x1f{key}", speed, rate.burst, max(1, int(rate.burst) // SHARE), now)
        with self._taking:
            granted, full, wait = filled(self._full.get(key, 0.0), speed, rate.burst, 1, now)
            self._full[key] = full
            self._full.move_to_end(key)
            if len(self._full) > MAX_BUCKETS:
                self._full.popitem(last=False)
        return granted, wait

    def _refusal(self, key: str, rate: Rate, wait: float) -> LimitExceeded:
        of = f" of {key}" if key else ""
        return LimitExceeded(
            f"limit {self.name}{of}: more than {rate.calls:g} calls in {rate.per:g} s; try again in {wait:.2f} s", wait
        )


def _speed(rate: Rate) -> float:
    return rate.calls / rate.per


def _rate(rule: Rule) -> Rate:
    """The rate that a limit's rule says."""
    calls = float(rule.metadata.get("calls", 0))
    return Rate(calls, float(SECONDS.get(str(rule.metadata.get("window")), 60)), max(1.0, calls))


limiter = Limiter
"""The decorator by its usual name."""
