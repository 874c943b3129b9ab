"""What the rules of one moment ask of usage, and those rules with what they ask already answered.

Between two of the numbers at which a condition on usage turns, all calls have the same answers to all such
conditions. So rules on usage cost nothing there: those that hold are compiled without the condition, the others left
out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from brain.errors import InvalidInput
from brain.logs import Log
from brain.policy.compiler import Find
from brain.policy.models import Condition, Rule
from brain.policy.operators import Operator
from brain.policy.predicates import holds
from brain.policy.ruleset import RuleSet, RulesSnapshot
from brain.policy.usage import UsageField, usage_field
from brain.policy.usage_counters import Block
from brain.policy.values import MISSING

log: Log = Log("brain.policy")

MOST_RULES: Final = 64
"""With more rules on usage than so many, each decision looks at their conditions."""

MOST_ANSWERS: Final = 64
"""So many sets of rules with answers are kept."""

Answers = tuple[bool | None, ...]


class UsagePlan:
    """The fields that the rules ask for, and the rules for each set of answers, made when it is first met."""

    def __init__(self, rules: RulesSnapshot, clock: Callable[[], float], *, recorded: bool) -> None:
        self.rules = rules
        self._clock = clock
        self._metered = [_metered(each) for each in rules.sets]
        conditions = {
            str(one): one for each in self._metered for rule in each for one in rule.conditions if _is_usage(one)
        }
        self.fields: tuple[UsageField, ...] = _fields(conditions.values())
        self.blocks: dict[Any, Block] = {}
        """What is at hand, by agent, or by agent and action."""
        self.by_tool: bool = any(one.tool for one in self.fields)
        places = {one.path: at for at, one in enumerate(self.fields)}
        self._conditions = [(one, places.get(one.field)) for one in conditions.values()]
        self._finds: dict[Answers, Find | None] = {}
        known = len(self.fields) == len({one.field for one in conditions.values()})
        self.simple: bool = bool(self.fields) and known and rules.plain and not recorded
        """Whether a decision needs nothing but a number and `Block.find`."""
        self._plain = rules.shadow is None and sum(map(len, self._metered)) <= MOST_RULES

    def find(self, values: Sequence[float]) -> Find | None:
        """What decides where these are the usages; None: look at each decision's own."""
        if not self._plain:
            return None
        answers = tuple(holds(one, MISSING if at is None else values[at]) for one, at in self._conditions)
        if answers not in self._finds:
            if len(self._finds) >= MOST_ANSWERS:
                self._finds.clear()
            self._finds[answers] = None if None in answers else self._answered(answers)
        return self._finds[answers]

    def _answered(self, answers: Answers) -> Find:
        known = {str(one): answer for (one, _), answer in zip(self._conditions, answers, strict=True)}
        now = self._clock()
        sets = []
        for each, metered in zip(self.rules.sets, self._metered, strict=True):
            kept = [_without(rule, known) for rule in metered]
            sets.append(each.changed(metered, [rule for rule in kept if rule is not None], now))
        return RulesSnapshot(sets, self.rules.measures).find


_known: WeakKeyDictionary[RuleSet, list[Rule]] = WeakKeyDictionary()


def _metered(rules: RuleSet) -> list[Rule]:
    """The rules of the set that ask for usage; looked up once for each set, also while measures come and go."""
    if rules not in _known:
        _known[rules] = [rule for rule in rules.rules.values() if _asks(rule)]
    return _known[rules]


def _is_usage(condition: Condition) -> bool:
    return condition.field.startswith("usage.")


def _asks(rule: Rule) -> bool:
    return rule.enabled and any(map(_is_usage, rule.conditions))


def _without(rule: Rule, known: Mapping[str, bool | None]) -> Rule | None:
    """The rule without its conditions on usage; None where one of them does not hold."""
    if not all(known.get(str(one), True) for one in rule.conditions):
        return None
    return replace(rule, conditions=[one for one in rule.conditions if str(one) not in known])


def _fields(conditions: Iterable[Condition]) -> tuple[UsageField, ...]:
    """The fields that conditions name, each with the numbers from which a condition turns."""
    bounds: dict[str, set[float]] = {}
    for one in conditions:
        turns = bounds.setdefault(one.field, set())
        for number in one.value if isinstance(one.value, list) else (one.value,):
            if type(number) in (int, float):
                turns |= {math.ceil(number)} if one.operator is not Operator.GT else set()
                turns |= {math.floor(number) + 1} if one.operator is not Operator.LT else set()
    found = []
    for path in sorted(bounds):
        try:
            found.append(usage_field(path, (turn for turn in bounds[path] if turn > 0)))
        except InvalidInput:  # a field of that name that is none of ours stays missing
            log.warning(f"a rule asks for {path}, which is no usage")
    return tuple(found)


def tree(fields: Sequence[UsageField], values: Sequence[Any]) -> dict[str, Any]:
    """The field `usage` of a context: these values at their places."""
    usage: dict[str, Any] = {}
    for one, value in zip(fields, values, strict=True):
        node = usage.setdefault("tool", {}) if one.tool else usage
        node.setdefault(one.kind, {})[one.window] = value
    return usage
