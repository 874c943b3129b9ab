"""The bounds of everything that is taken in, each declared once with its reason; docs/limits.md is made from them.

What is beyond a bound is refused at the edge (HTTP, files, the command line) and by the models (Rule, Threat,
HealthEvent, Event), with an error that names the field. So what is stored can be loaded, shown and sent on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import msgspec

from brain.errors import InvalidInput


@dataclass(frozen=True)
class Bound:
    """One bound: of what, how much at most, in which unit, and why so much and not more."""

    of: str
    most: int
    unit: str
    why: str


BOUNDS: list[Bound] = []
"""All bounds, in the order in which docs/limits.md lists them."""


def _bound(of: str, most: int, unit: str, why: str) -> int:
    BOUNDS.append(Bound(of, most, unit, why))
    return most


DEPTH = _bound(
    "Nesting of a value: a condition's value, metadata, details, each member of a context",
    32,
    "levels",
    "Far more than people write, and far less than a reader of JSON in any language gives up at. "
    "A list or an object counts as one level, what is in it as the next.",
)
VALUE_BYTES = _bound(
    "A value: a condition's value, metadata of a rule or a threat, details of a health event",
    1 << 16,
    "bytes as JSON",
    "Room for some thousand members; what is larger is kept elsewhere and referred to.",
)
RULE_BYTES = _bound(
    "A whole rule",
    1 << 18,
    "bytes as JSON",
    "The event of an update holds the rule up to three times, and must fit into an envelope.",
)
CONTEXT_BYTES = _bound(
    "The context of a decision over HTTP",
    1 << 19,
    "bytes as JSON",
    "The decision's event holds the context and what was decided, and must fit into an envelope.",
)
EVENT_BYTES = _bound(
    "An event's envelope",
    1 << 20,
    "bytes as JSON",
    "Every consumer holds some hundred events in memory.",
)
EVENT_DEPTH = _bound(
    "Nesting of an event's envelope",
    DEPTH + 8,
    "levels",
    "A value of full depth inside a changed rule, inside the payload.",
)
BODY_BYTES = _bound(
    "A request's body (the setting `body_limit`)",
    1 << 20,
    "bytes",
    "One request must not take the memory or the time of the others.",
)
BODY_DEPTH = _bound(
    "Nesting of a request's body",
    DEPTH + 8,
    "levels",
    "A value of full depth inside a condition, inside a rule, inside an import.",
)
FILE_BYTES = _bound("A policy file, or a file of policy tests", 1 << 26, "bytes", "A hundred thousand rules fit.")

ID = _bound("An id, and the name of a person or of a module", 200, "characters", "It is a key in every database.")
KEY = _bound(
    "An Idempotency-Key, and the `key=` of a service", 255, "characters", "A UUID has 36; it is a key of a store."
)
TYPE = _bound("A threat's type, and a rule's tag", 100, "characters", "It is a label in metrics and alerts.")
NAME = _bound("A rule's name, and a threat's source", 500, "characters", "It is shown in one line of a table.")
CORRELATION_ID = _bound("A correlation id in a request", 500, "characters", "It is an index of the consumers' tables.")
TITLE = _bound("An incident's title", 250, "characters", "Ticket systems take no more.")
REASON = _bound(
    "The reason of a move, a silence or a hold; the note of a move",
    1_000,
    "characters",
    "It is shown with every event about it.",
)
NOTE = _bound("A note on an incident, a comment on a threat", 2_000, "characters", "It is a comment in ticket systems.")
TEXT = _bound(
    "A description, a message, the reason of a measure or an answer, a text of a context's own fields (agent_id, ...)",
    10_000,
    "characters",
    "A few pages: more than a person reads.",
)
FIELD = _bound("A condition's field", 1_000, "characters", "A dotted path of the parts below.")
FIELD_PARTS = _bound(
    "Parts of a condition's field",
    64,
    "parts",
    "Twice what the nesting of a value permits; the code made from a rule nests once for each part.",
)
PATTERN = _bound("A pattern of `matches`", 10_000, "characters", "It bounds the time that RE2 takes to refuse one.")
EVENT_PATTERN = _bound("A pattern of event types", 1_000, "characters", "It is matched in the database.")

CONDITIONS = _bound("Conditions of a rule", 1_000, "conditions", "The rule is one function; split it.")
ALLOW_BYTES = _bound(
    "The agents that a kill switch lets through",
    3 << 14,
    "bytes as JSON",
    "They are conditions and metadata of one rule.",
)
TAGS = _bound("Tags of a rule", 100, "tags", "They are for finding the rule.")
RULES = _bound("Rules of an import or a replay", 100_000, "rules", "One set is compiled at once.")
QUESTIONS = _bound(
    "Contexts, actions, resources, or agents in one request", 1_000, "members", "Each is a decision of its own."
)
PAIRS = _bound("Actions times resources in one question", 100_000, "pairs", "The answer is one list.")
MATCHERS = _bound("Matchers of a silence", 50, "matchers", "Each is tried on every alert.")
MATCHER = _bound("A matcher of a silence", 1_000, "characters", "It is tried on every alert.")
POSITIONS = _bound("Dead letters in one request", 10_000, "positions", "One transaction holds them.")
FILTERS = _bound("Values of one filter in a query", 100, "values", "Each is a clause of one query.")
REQUEST_ANSWER = _bound(
    "An answer that is kept for an Idempotency-Key",
    1 << 20,
    "bytes",
    "Larger ones are made again; nothing is created twice.",
)
REQUEST_KEYS = _bound(
    "Idempotency keys that are kept", 100_000, "keys", "More than one a second for a day; beyond it the oldest go."
)
REQUEST_KEYS_BYTES = _bound(
    "All answers that are kept for idempotency keys",
    1 << 26,
    "bytes",
    "They are in the store; beyond it the oldest go.",
)
CHECKPOINT = _bound("A checkpoint to verify against", 1 << 16, "characters", "A signed note has a few lines.")

INTEGER_LEAST, INTEGER_MOST = -(2**63), 2**64 - 1
"""Whole numbers outside these need more than 64 bits, which databases and other languages do not have."""
COUNT = _bound(
    "A number that counts or names something (a version, an index)", 1 << 53, "", "JavaScript counts no further."
)
PRIORITY = _bound("A rule's priority, above or below 0", 2**31 - 1, "", "32 bits, the highest for measures.")
MOMENT = _bound("A time in Unix seconds, excluded", 10**11, "seconds", "The year 5138; milliseconds would be beyond.")
SECONDS = _bound("How long a measure holds", 366 * 86_400, "seconds", "A year; what is to stay is a rule.")


def table() -> str:
    """The bounds as the table in docs/limits.md."""
    lines = ["| of what | at most | why |", "| --- | --- | --- |"]
    lines += [f"| {one.of} | {one.most:,} {one.unit} ".rstrip() + f" | {one.why} |" for one in BOUNDS]
    return "\n".join(lines) + "\n"


_SCALARS = frozenset({int, float, bool, type(None)})


def fault_of(value: object, most_bytes: int = VALUE_BYTES) -> str | None:
    """What is wrong with a JSON value by the bounds above, with the place in it and the remedy; None when nothing is.

    Never raises, however deep or odd the value is, and looks at no more members than fit into `most_bytes`.
    """
    if not _is_plainly_right(value, most_bytes):
        for found in _faults(value, most_bytes):
            return found
    return size_fault(value, most_bytes)


def context_faults(context: Mapping[str, object]) -> list[tuple[str, str]]:
    """What is wrong with the members of a decision's context, each with its name; see `fault_of`."""
    found = [(str(name), fault_of(value, CONTEXT_BYTES)) for name, value in context.items()]
    found += [(name, text_fault(context.get(name), TEXT)) for name in _CONTEXT_TEXTS]
    return [(name, fault) for name, fault in found if fault is not None]


def text_fault(value: object, most: int) -> str | None:
    """What is wrong with the length of a text; None when nothing is, or when it is no text."""
    if isinstance(value, str) and len(value) > most:
        return f"{len(value):,} characters are more than the {most:,} allowed; shorten it"
    return None


_CONTEXT_TEXTS = ("agent_id", "agent_role", "action", "resource")


def size_fault(value: object, most_bytes: int) -> str | None:
    """What is wrong with the size of a value whose members are right; None when nothing is. Never raises."""
    try:
        size = len(msgspec.json.encode(value))
    except Exception as error:  # noqa: BLE001  (a value of the caller's own type may raise anything; it is refused)
        return f"cannot be written as JSON: {error}; use JSON values"
    if size > most_bytes:
        return f"{size} bytes as JSON are more than the {most_bytes} allowed; keep a reference instead"
    return None


def _is_plainly_right(value: object, most_members: int) -> bool:
    """Whether the members are right, as nearly all are; False leaves it to `_faults`, which also finds the place."""
    level: list[Any] = [value]
    for depth in range(DEPTH + 1):
        following: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is str:
                if not one.isascii() and not is_text(one):
                    return False
            elif kind is dict and depth < DEPTH:
                following += one
                following += one.values()
            elif kind is list and depth < DEPTH:
                following += one
            elif kind not in _SCALARS or _scalar_fault(one) is not None:
                return False
            if len(following) > most_members:
                return False
        if not following:
            return True
        level = following
    return False


def _faults(value: object, most_members: int) -> Iterator[str]:
    """The faults of the members, found level by level, so that no depth can exhaust the stack."""
    level: list[tuple[str, object]] = [("", value)]
    for depth in range(DEPTH + 1):
        following: list[tuple[str, object]] = []
        for place, one in level:
            if isinstance(one, (str, int, float)) or one is None:
                if (fault := _scalar_fault(one)) is not None:
                    yield f"{fault}{_at(place)}"
            elif isinstance(one, (Mapping, list, tuple, set, frozenset)):
                if depth == DEPTH:
                    yield f"is nested deeper than {DEPTH} levels{_at(place)}; flatten it"
                else:
                    following += _members(place, one)
            if len(following) > most_members:  # a list that holds another a thousand times, and that one a third
                yield f"has more than {most_members:,} members; keep a reference instead"
                return
        level = following


def _members(place: str, value: Iterable[object]) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        return [(f"{place}[{number}]" if len(place) < 100 else place, one) for number, one in enumerate(value)]
    found: list[tuple[str, object]] = []
    for key, member in value.items():
        found += [(place, key), (f"{place}.{key}" if len(place) < 100 else place, member)]
    return found


def _scalar_fault(value: str | int | float | None) -> str | None:
    if isinstance(value, str):
        return None if is_text(value) else f"{value[:100]!r} is no valid text: it has a lone surrogate"
    if isinstance(value, int):
        if INTEGER_LEAST <= value <= INTEGER_MOST:
            return None
        return "a whole number needs more than 64 bits; write it as a text"
    if isinstance(value, float) and not isfinite(value):
        return f"{value} is not a number that JSON can hold"
    return None


def check_count(name: str, value: object) -> None:
    """Raises InvalidInput, naming the argument, unless the value is a whole number, 1 or more."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < 1:  # type: ignore[operator]
        raise InvalidInput(f"{name}: {shown(value)} is {'too small' if is_whole else 'no whole number'}; use 1 or more")


def check_seconds(name: str, value: object, *, least: float = 0.0, most: float = inf) -> None:
    """Raises InvalidInput, naming the argument, unless the value is a number of seconds within these bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        bounds = f"{least:g} or more" if most == inf else f"{least:g} to {most:g}"
        raise InvalidInput(f"{name}: {shown(value)} is not a number of seconds that can be; use {bounds}")


def is_length(value: object, least: int, most: int) -> bool:
    """Whether it is a text that can be written, of `least` to `most` characters, blanks at its ends not counted."""
    return isinstance(value, str) and least <= len(value.strip()) and len(value) <= most and is_text(value)


def shown(value: object) -> str:
    """The value for a message: its `repr`, cut to a line. Never raises."""
    try:
        text = repr(value[:200] if isinstance(value, str) else value)
    except Exception:  # noqa: BLE001  (a value of the caller's own type, or one nested too deeply, may raise anything)
        return f"a {type(value).__name__}"
    return text if len(text) <= 210 else f"{text[:200]}..."


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: it has no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at(place: str) -> str:
    return f" (at {place.lstrip('.')[:120]!r})" if place else ""
