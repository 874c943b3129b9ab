"""Any value as JSON that an event can carry, and back to what rules saw of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from math import inf, isfinite
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from brain.limits import is_text
from brain.policy.normalisation import PLAIN, Opaque, normalise

_LONGEST_NUMBER = 10_000  # bits; Python does not write much longer ones, and no rule has one of more than 64


class NotJSON(msgspec.Struct, gc=False, frozen=True):
    """A value of the context that JSON cannot hold: in its place is a text, which says what it was."""

    path: Annotated[list[str | int], Meta(description="Where it is: keys, and places in lists, from the context on.")]
    kind: Annotated[str, Meta(description="`number`, `opaque` (no rule sees it), or `escaped` (no valid text).")]


def to_json_safe(value: object) -> Any:
    """What rules see of `value`, as JSON values; what JSON cannot hold becomes a text. Never raises."""
    return to_json_safe_marked(value)[0]


def to_json_safe_marked(value: object) -> tuple[Any, list[NotJSON]]:
    """What rules see of `value`, as JSON values, and which texts in it stand for what JSON lacks. Never raises."""
    substitutes: list[NotJSON] = []
    return _json(normalise(value), [], substitutes), substitutes


def from_json_safe(value: Any, substitutes: Iterable[NotJSON]) -> Any:
    """What rules saw, from what `to_json_safe_marked` made of it. Changes `value`; one without a place is skipped."""
    whole = [value]
    for one in substitutes:
        holder: Any = whole
        *way, last = (0, *one.path)
        try:
            for key in way:
                holder = holder[key]
            text = holder[last]
            holder[last] = _RESTORED[one.kind](text)
        except (LookupError, TypeError, ValueError, ArithmeticError):  # an event of somebody else's making
            continue
    return whole[0]


class _TextOnly:
    """Stands for a value of which only its text is known."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _json(value: Any, path: list[str | int], substitutes: list[NotJSON]) -> Any:
    """A normalised value as JSON."""
    kind = type(value)
    if kind is dict:
        return {_valid(key): _json(member, [*path, _valid(key)], substitutes) for key, member in value.items()}
    if kind is list:
        return [_json(member, [*path, place], substitutes) for place, member in enumerate(value)]
    if kind is str:
        plain = value.isascii() or is_text(value)
    elif kind is int:
        plain = value.bit_length() <= _LONGEST_NUMBER
    else:
        plain = value is None or kind is bool or (kind is float and isfinite(value))
    if plain:
        return value
    return _text_for(value, path, substitutes)


def _text_for(value: Any, path: list[str | int], substitutes: list[NotJSON]) -> str:
    """The text that stands for what JSON lacks, and its one."""
    if isinstance(value, str):
        substitutes.append(NotJSON(path, "escaped"))
        return value.encode("unicode_escape").decode()
    if isinstance(value, int):
        value = inf if value > 0 else -inf  # as much as any rule can tell
    if isinstance(value, (float, Decimal, Fraction)):
        try:
            text = str(value)
        except ValueError:  # Python writes no number of more than some thousand digits
            pass
        else:
            substitutes.append(NotJSON(path, "number"))
            return text
    substitutes.append(NotJSON(path, "opaque"))
    return Opaque(value).text if type(value) is not Opaque else str(value.text)


def _number(text: str) -> Any:
    if "/" in text:
        return Fraction(text)
    number = Decimal(text)
    return number if number.is_finite() else float(text)


def _valid(text: str) -> str:
    """The text as UTF-8 can hold it: a lone surrogate becomes a question one."""
    return text if text.isascii() else text.encode(errors="replace").decode()


_RESTORED: Final[dict[str, Callable[[str], Any]]] = {
    "number": _number,
    "escaped": lambda text: text.encode().decode("unicode_escape"),
    "opaque": lambda text: Opaque(_TextOnly(text)),
}


def is_json_safe(value: Any) -> bool:
    """Whether the value is JSON as it stands, all the way down: then `to_json_safe` changes nothing."""
    kind = type(value)
    if kind is dict:
        return PLAIN.issuperset(map(type, value.values())) or all(map(is_json_safe, value.values()))
    if kind is list:
        return PLAIN.issuperset(map(type, value)) or all(map(is_json_safe, value))
    return kind in PLAIN or (kind is float and isfinite(value))
