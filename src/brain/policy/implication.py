"""What can be proved of conditions without a context: that one implies another, or that two cannot both hold.

Both answers err on the side of "no": what is not plain from operators and values is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence

from brain.policy import patterns
from brain.policy.models import Condition
from brain.policy.operators import Operator
from brain.policy.predicates import holds
from brain.policy.values import is_less, path_of, same

_ORDERING = (Operator.GT, Operator.LT)
_SAMPLES = ("", "\n", "\x00 z", "Ä", "a", "9", "_/.", "ZZ~")


def all_imply(given: Sequence[Condition], wanted: Sequence[Condition], *, doubtful: bool = False) -> bool:
    """Whether every context in which all of `given` hold is one in which all of `wanted` hold.

    With `doubtful` also: whether none of `wanted` is false where none of `given` is, though some be unknown.
    """
    return all(any(implies(one, other, doubtful=doubtful) for one in given) for other in wanted)


def can_hold_together(one: Sequence[Condition], other: Sequence[Condition]) -> bool:
    """Whether nothing speaks against a context in which all conditions of both hold."""
    return not any(excludes(left, right) for left in one for right in other)


def implies(given: Condition, wanted: Condition, *, doubtful: bool = False) -> bool:
    """Whether `wanted` holds wherever `given` does; with `doubtful` also, whether it is false only where `given` is."""
    if path_of(given.field) != path_of(wanted.field):
        return False
    if given.operator == wanted.operator and same(given.value, wanted.value):
        return True
    values = _possible(given)
    if values is not None:
        return all(holds(wanted, value) is True for value in values)
    if given.operator is Operator.GT and wanted.operator is Operator.GT:
        return same(given.value, wanted.value) or holds(wanted, given.value) is True
    if given.operator is Operator.LT and wanted.operator is Operator.LT:
        return same(given.value, wanted.value) or holds(wanted, given.value) is True
    if wanted.operator is Operator.NE:  # false for one value alone
        there = holds(given, wanted.value)
        return there is False or (there is None and not doubtful)
    if wanted.operator is Operator.MATCHES and _wants_text(given):
        narrow = patterns.literal_prefix(given.value) if given.operator is Operator.MATCHES else None
        wide = patterns.literal_prefix(wanted.value)
        return matches_everything(wanted.value) or bool(narrow and wide is not None and narrow.startswith(wide))
    return False


def excludes(one: Condition, other: Condition) -> bool:
    """Whether the two conditions cannot hold in the same context."""
    if path_of(one.field) != path_of(other.field):
        return False
    for left, right in ((one, other), (other, one)):
        values = _possible(left)
        if values is not None:
            return not any(holds(right, value) is True for value in values)
    if one.operator in _ORDERING and other.operator in _ORDERING:
        if isinstance(one.value, str) is not isinstance(other.value, str):
            return True
        low, high = (one, other) if one.operator is Operator.GT else (other, one)
        return low.operator is not high.operator and not is_less(low.value, high.value)
    kinds = {one.operator, other.operator}
    if kinds == {Operator.MATCHES}:
        first, second = patterns.literal_prefix(one.value), patterns.literal_prefix(other.value)
        return first is not None and second is not None and not (first.startswith(second) or second.startswith(first))
    ordering = one if one.operator in _ORDERING else other
    return Operator.MATCHES in kinds and ordering.operator in _ORDERING and not isinstance(ordering.value, str)


def matches_everything(pattern: str) -> bool:
    """Whether the pattern says nothing but that the value is a text."""
    test = patterns.matcher(pattern)
    return all(map(test, _SAMPLES))


def _possible(condition: Condition) -> Sequence[object] | None:
    """The values that the condition leaves to the field, where those can be listed."""
    if condition.operator is Operator.EQ:
        return [condition.value]
    if condition.operator is Operator.IN:
        values: Sequence[object] = condition.value
        return values
    return None


def _wants_text(condition: Condition) -> bool:
    return condition.operator is Operator.MATCHES or (
        condition.operator in _ORDERING and isinstance(condition.value, str)
    )
