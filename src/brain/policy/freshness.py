"""The age of a process's rules, and a denial of everything when it is beyond a limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

from brain.errors import InvalidInput
from brain.logs import Log
from brain.policy.compiler import Index
from brain.policy.decisions import OUT_OF_DATE, Decision, refusal
from brain.policy.explain import Explanation
from brain.policy.follower import Follower
from brain.policy.ruleset import RuleSet, RulesSnapshot

log: Log = Log("brain.policy")


class Rules(Protocol):
    """Where decisions find the set that is in force."""

    @property
    def current(self) -> RulesSnapshot:
        """The set as of the last change."""

    def advance(self) -> RulesSnapshot:
        """The set as of now, after rules began or ceased to be valid by the clock."""


class LastLook:
    """The moment of the last successful look at the store, by a clock that nobody sets.

    What was seen `at` that moment is taken as known `until` so many seconds later as `limit` says.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, limit: float = inf) -> None:
        self.monotonic = monotonic
        self.limit = limit
        self.at: float = monotonic()
        self.until: float = self.at + limit

    @property
    def age(self) -> float:
        """Seconds since then."""
        return max(0.0, self.monotonic() - self.at)

    def succeeded(self, began: float) -> None:
        """A look that began at that moment found all that was stored before it."""
        if began > self.at:
            self.at = began
            self.until = began + self.limit


class StaleRules(RulesSnapshot):
    """Takes the place of rules that are older than `limit` seconds: denies everything, and says why."""

    def __init__(self, limit: float) -> None:
        self.reason: str = (
            f"{OUT_OF_DATE}: the last successful look at the store is more than "
            f"{limit:g} s ago (max_rules_age); see the log"
        )
        denial = refusal(self.reason)
        everything = Index((), (None, None, (inf, 9, ""), denial, None, ()), "unknown")
        super().__init__([RuleSet({}, everything, everything, {}, frozenset(), 0.0)])
        self.denial: Decision = denial

    def explanation(self) -> Explanation:
        """The same for every context: no rule is considered."""
        return Explanation(self.denial, "No rule was considered: those known may be out of date.", ())


class FreshRules:
    """The rules for as long as the last successful look lets them be taken as known, and a denial beyond that.

    Each decision asks, so it counts on no thread; one that finds the rules too old has the followers checked.
    """

    def __init__(self, rules: Rules, look: LastLook, followers: Sequence[Follower]) -> None:
        self._rules = rules
        self._look = look
        self._monotonic = look.monotonic
        self._followers = followers
        self._stale = StaleRules(look.limit)
        self._logged: float | None = None  # the look whose age was logged

    @property
    def current(self) -> RulesSnapshot:
        """The rules, or what denies everything."""
        if self._monotonic() <= self._look.until:
            return self._rules.current
        for follower in self._followers:
            follower.check()
        if self._logged != self._look.at:
            self._logged = self._look.at
            log.error(
                "the rules may be out of date; every action is denied until the store answers", age=self._look.age
            )
        return self._stale

    def advance(self) -> RulesSnapshot:
        """The rules as of now."""
        return self._rules.advance()


def checked_limit(limit: float, interval: float | None) -> float:
    """The limit. Raises InvalidInput when it is no number of seconds that looks each `interval` seconds can keep."""
    if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not (interval or 0) < limit < inf:
        least = f"{interval:g} (follow_interval)" if interval else "0"
        raise InvalidInput(f"max_rules_age: {limit!r} is not a number of seconds above {least}")
    return limit
