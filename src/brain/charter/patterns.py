"""Subscription patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable

from brain import limits
from brain.errors import InvalidInput

_PATTERN = re.compile(r"[a-z0-9_.*]+").fullmatch


class Pattern:
    """A compiled subscription pattern: `*` stands for any run of characters, dots included; several are ORed.

    `threat.*`, `*.event_published`, `*`. Raises InvalidInput for a pattern that can match no type.
    """

    def __init__(self, pattern: str | Iterable[str]) -> None:
        self._texts = (pattern,) if isinstance(pattern, str) else tuple(pattern)
        for text in self._texts or ("",):
            if not isinstance(text, str) or not _PATTERN(text):
                raise InvalidInput(f"pattern: {text!r} is not made of a-z, 0-9, _, . and *; try threat.* or *")
            if len(text) > limits.EVENT_PATTERN:
                raise InvalidInput(f"pattern: it has {len(text)} characters; at most {limits.EVENT_PATTERN} are taken")
        alternatives = "|".join(re.escape(text).replace(r"\*", ".*") for text in self._texts)
        self._match = re.compile(alternatives).fullmatch
        self._known: dict[str, bool] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """What it is made of."""
        return self._texts

    @property
    def matches_all(self) -> bool:
        """Whether it is known to match every type."""
        return "*" in self._texts

    def matches(self, event_type: str) -> bool:
        """Whether an event of this type is wanted; remembered, so that a known type costs one look-up."""
        known = self._known.get(event_type)
        if known is None:
            known = self._match(event_type) is not None
            if len(self._known) < 10_000:
                self._known[event_type] = known
        return known

    def __eq__(self, other: object) -> bool:
        """Whether the other is made of the same texts; their order means nothing."""
        return isinstance(other, Pattern) and set(self.texts) == set(other.texts)

    def __hash__(self) -> int:
        return hash(frozenset(self.texts))

    def __str__(self) -> str:
        return ",".join(self.texts)

    def __repr__(self) -> str:
        made_of = self._texts[0] if len(self._texts) == 1 else list(self._texts)
        return f"Pattern({made_of!r})"
