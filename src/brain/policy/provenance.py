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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from brain.errors import InvalidInput
from brain.policy.provenance_requests import Requests, RequestsInMemory, RequestsInStore
from brain.store import Store

MAX_CHARACTERS: Final = 1_000_000
"""Characters of the words, and of the own data, of one request."""

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


class Provenance:
    """What is known of each request under its correlation id. Thread-safe, bounded. No model is asked.

    `own` are texts of the operator's own data, known before any request: contacts, accounts, documents. With a `store`
    requests outlive a restart, and processes that share it know each other's: each look is one read of it. All methods
    then raise Unavailable where it does not answer, so that a guard lets nothing through.
    """

    def __init__(self, tools: Mapping[str, ToolFacts], own: Iterable[str] = (), store: Store | None = None) -> None:
        self._tools = dict(tools)
        self._own = _normal("\n".join(own))
        self._requests: Requests = RequestsInMemory() if store is None else RequestsInStore(store)

    def begin(self, correlation_id: str, words: str, own: Iterable[str] = ()) -> None:
        """A request begins, with the user's own words, and own data that belong to it, such as this user's contacts.

        Raises InvalidInput for one without an id, and for texts that are too long.
        """
        if not correlation_id:
            raise InvalidInput("correlation_id: it is empty; give the id under which the request's calls come")
        texts = {"words": words, "own": "\n".join(own)}
        for name, text in texts.items():
            if len(text) > MAX_CHARACTERS:
                raise InvalidInput(f"{name}: has {len(text):,} characters; give at most {MAX_CHARACTERS:,}")
        self._requests.begin(correlation_id, _normal(texts["words"]), _normal(texts["own"]))

    def called(self, correlation_id: str | None, tool: str) -> None:
        """A tool was let through: what it returns brings its labels."""
        labels = self._tools.get(tool, _NOTHING).returns
        if labels and correlation_id is not None:
            self._requests.add(correlation_id, labels)

    def facts(self, correlation_id: str | None, tool: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that rules ask for: `labels`, `destination_new` and `asked`.

        Of an unknown correlation id all is new, nothing was asked, and the label is `untrusted`.
        """
        request = self._requests.get(correlation_id) if correlation_id else None
        words, labels = (request.words, [*request.labels]) if request else ("", [FORGOTTEN])
        known = (words, self._own, request.own if request else "")
        facts = self._tools.get(tool, _NOTHING)
        targets = list(_texts(params.get(name) for name in facts.destinations))
        subjects = list(_texts(params.get(name) for name in facts.subject))
        return {
            "labels": labels,
            "destination_new": not all(any(_holds(text, one) for text in known) for one in targets),
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
