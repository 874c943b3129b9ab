"""Names in `[alerting]` that refer to a notifier, a rotation or hours: whether the thing is there.

The check reads the table as it was written, so that a fault elsewhere does not hide these faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from brain.model_faults import plain_words

Place = tuple[str | int, ...]


def with_names_checked(table: Any, validate: Callable[[Any], Any]) -> Any:
    """The settings that `validate` makes of the table. Raises ValidationError with its faults and the names' faults."""
    named = [_detail(place, message) for place, message in faults(table)]
    try:
        made = validate(table)
    except ValidationError as error:
        others = [_detail(found["loc"], found["msg"], found["type"]) for found in error.errors(include_url=False)]
        raise ValidationError.from_exception_data("alerting", [*others, *named], hide_input=True) from None
    if named:
        raise ValidationError.from_exception_data("alerting", named, hide_input=True)
    return made


def faults(table: Any) -> Iterator[tuple[Place, str]]:
    """Names that mean nothing, or two things, each with the place where it stands and what to do."""
    notifiers, rotations, hours = (_keys(table, name) for name in ("notifiers", "rotations", "hours"))
    receivers = [*notifiers, *(name for name in rotations if name not in notifiers)]
    for name in rotations:
        if name in notifiers:
            yield ("rotations", name), "is the name of a notifier as well; give the rotation another name"
        yield from _unknown(
            _value(_value(table, "rotations"), name), ("rotations", name, "people"), notifiers, "notifier"
        )
    seen: set[object] = set()
    for number, route in enumerate(_items(_value(table, "routes"))):
        at: Place = ("routes", number)
        name = _value(route, "name")
        if isinstance(name, str):
            if name in seen:
                yield (*at, "name"), f"an earlier route has the name {name!r}; give this one another name"
            seen.add(name)
        yield from _unknown(route, (*at, "to"), receivers, "notifier or rotation")
        for step, escalation in enumerate(_items(_value(route, "escalate"))):
            yield from _unknown(escalation, (*at, "escalate", step, "to"), receivers, "notifier or rotation")
        for field in ("only_during", "not_during"):
            wanted = _value(route, field)
            if isinstance(wanted, str) and wanted not in hours:
                yield (*at, field), f"there are no hours {wanted!r} in alerting.hours; there are {_listed(hours)}"


def _unknown(holder: Any, place: Place, known: Iterable[str], what: str) -> Iterator[tuple[Place, str]]:
    """The names of the list that is the last of the place which are not known."""
    for number, name in enumerate(_items(_value(holder, str(place[-1])))):
        if isinstance(name, str) and name not in known:
            yield (*place, number), f"there is no {what} {name!r}; there are {_listed(known)}"


def _value(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else None


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _keys(table: Any, name: str) -> list[str]:
    found = _value(table, name)
    return [key for key in found if isinstance(key, str)] if isinstance(found, Mapping) else []


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _detail(place: Place, message: str, kind: str = "alerting") -> InitErrorDetails:
    error = PydanticCustomError(kind, "{message}", {"message": plain_words(message)})
    return InitErrorDetails(type=error, loc=place, input=None)
