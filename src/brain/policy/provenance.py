"""Where words and data come from, by correlation id: labels of what tools returned, and destinations nobody named.

    provenance = Provenance({"read_mail": ToolFacts(returns=("untrusted",)),
                             "send_mail": ToolFacts(destinations=("to",))}, own=[contacts_text])
    provenance.begin("request-1", "Send the minutes to dora@example.org")
    guard = Guard(engine, provenance=provenance)

Rules then ask for `labels contains untrusted`, `destination_new == true` and `asked == false`. Own data is what was
known before the request. Text that tools return in it never counts as own: an attacker may have written it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from brain.errors import InvalidInput
from brain.locks import InterruptibleLock

MAX_REQUESTS: Final = 10_000
"""How many correlation ids are remembered; of the one used longest ago what is known is then given up."""

FORGOTTEN: Final = "untrusted"
"""The label of a request of which nothing is known."""

_SCHEME = re.compile(r"^(?:https?://)?(?:www\.)?")
_SENTENCE = re.compile(r"(?<=[a-z])\.(?=[A-Z][a-z])")
_SCHEMES = re.compile(r"https?://|\bwww\.")


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What an operator says of one tool."""

    returns: tuple[str, ...] = ()
    """The labels of what it returns, such as `untrusted` and `private`."""
    destinations: tuple[str, ...] = ()
    """The parameters that say where data or money goes."""
    asked_by: tuple[str, ...] = ()
    """Words of which the user's own text must hold one, for the act to be asked for; none: it need not be asked for."""
    subject: tuple[str, ...] = ()
    """The parameters whose values must be in the user's own text, too."""


@dataclass(slots=True)
class _Request:
    words: str
    labels: dict[str, None] = field(default_factory=dict)


class Provenance:
    """What is known of each request under its correlation id. Thread-safe, in memory, bounded. No model is asked.

    `own` are texts of the operator's own data, known before any request: contacts, accounts, documents.
    """

    def __init__(self, tools: Mapping[str, ToolFacts], own: Iterable[str] = ()) -> None:
        self._tools = dict(tools)
        self._own = _normal("\n".join(own))
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._changing = InterruptibleLock()

    def begin(self, correlation_id: str, words: str) -> None:
        """A request begins, with the user's own words. Raises InvalidInput for one without an id."""
        if not correlation_id:
            raise InvalidInput("correlation_id: it is empty; give the id under which the request's calls come")
        with self._changing:
            self._requests[correlation_id] = _Request(_normal(words))
            while len(self._requests) > MAX_REQUESTS:
                self._requests.popitem(last=False)

    def called(self, correlation_id: str | None, tool: str) -> None:
        """A tool was let through: what it returns brings its labels."""
        labels = self._tools.get(tool, _NOTHING).returns
        if labels and correlation_id is not None:
            with self._changing:
                request = self._requests.get(correlation_id)
                if request is not None:
                    request.labels.update(dict.fromkeys(labels))

    def facts(self, correlation_id: str | None, tool: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that rules ask for: `labels`, `destination_new` and `asked`.

        Of an unknown correlation id all is new, nothing was asked, and the label is `untrusted`.
        """
        with self._changing:
            request = self._requests.get(correlation_id or "")
            if request is not None:
                self._requests.move_to_end(correlation_id or "")
            words, labels = (request.words, [*request.labels]) if request else ("", [FORGOTTEN])
        facts = self._tools.get(tool, _NOTHING)
        targets = list(_texts(params.get(name) for name in facts.destinations))
        subjects = list(_texts(params.get(name) for name in facts.subject))
        return {
            "labels": labels,
            "destination_new": not all(_holds(words, one) or _holds(self._own, one) for one in targets),
            "asked": not facts.asked_by
            or (
                any(_holds(words, _normal(verb)) for verb in facts.asked_by) and all(_holds(words, s) for s in subjects)
            ),
        }


_NOTHING = ToolFacts()


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, normalised: one address of a list each."""
    if isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple, set, frozenset, map)) or hasattr(value, "__next__"):
        for one in value:  # type: ignore[attr-defined]
            yield from _texts(one)
    elif value is not None:
        for part in re.split(r"[,;]", str(value)):
            if text := _SCHEME.sub("", _normal(part)).strip():
                yield text


def _normal(text: str) -> str:
    """Lower case, single blanks, a blank after a sentence, URLs without scheme and `www.`."""
    return _SCHEMES.sub("", " ".join(_SENTENCE.sub(". ", text).lower().split()))


def _holds(text: str, part: str) -> bool:
    """Whether `part` stands in `text` by itself: no letter, digit, `@`, `-` or inner dot goes on at its ends."""
    if part not in text:
        compact = part.replace(" ", "")
        if not (any(map(str.isdigit, compact)) and compact.isalnum() and len(compact) > 14):
            return False
        spaced = " ?".join(compact)  # an account number, written in groups
        return re.search(rf"(?<![\w@-]){spaced}(?![\w@-])", text) is not None
    return re.search(rf"(?<![\w@-])(?<!\w\.){re.escape(part)}(?![\w@-])(?!\.\w)", text) is not None
