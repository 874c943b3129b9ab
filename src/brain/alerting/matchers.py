"""Matchers: what a route, a silence or an inhibition says about the labels of an alert.

Written `label=value`, `label!=value`, `label=~pattern`, `label!~pattern`, as in Alertmanager. Patterns are RE2 and must
match the whole value. A label that an alert lacks counts as empty.
Source: https://prometheus.io/docs/alerting/latest/configuration/#matcher
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brain import limits
from brain.errors import InvalidInput
from brain.regular_expressions import Pattern, re2

_WRITTEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.\-]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL).fullmatch
MATCHER_CHARACTERS = limits.MATCHER


@dataclass(frozen=True)
class Matcher:
    """One condition on one label; `operator` is `=`, `!=`, `=~` or `!~`."""

    label: str
    operator: str
    value: str
    _pattern: Any = field(default=None, repr=False, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels fulfil it."""
        value = labels.get(self.label, "")
        fits = value == self.value if self._pattern is None else self._pattern.fullmatch(value) is not None
        return fits is (self.operator[0] != "!")

    def __str__(self) -> str:
        """As it is written: `parse_matcher` makes the same of it, so a value that would be read otherwise is quoted."""
        value = self.value
        is_quoted = len(value) >= 2 and value[0] == value[-1] == '"'
        if is_quoted or value != value.strip() or (self.operator == "=" and value.startswith("~")):
            value = f'"{value}"'
        return f"{self.label}{self.operator}{value}"


def parse_matcher(text: str) -> Matcher:
    """The matcher written in `text`; quotes around the value are not part of it. Raises InvalidInput."""
    found = _WRITTEN(text)
    matcher = None if found is None or len(text) > MATCHER_CHARACTERS else _matcher(text, *found.groups())
    if matcher is None or len(str(matcher)) > MATCHER_CHARACTERS:  # what is kept of it must be read again
        raise InvalidInput(
            f"matcher {text[:100]!r}: write label=value, label!=value, label=~pattern or label!~pattern, "
            f"in at most {MATCHER_CHARACTERS} characters"
        )
    return matcher


def _matcher(text: str, label: str, operator: str, value: str) -> Matcher:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if operator not in ("=~", "!~"):
        return Matcher(label, operator, value)
    options = re2.Options()
    options.log_errors = False
    try:
        return Matcher(label, operator, value, Pattern(value, options))
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise InvalidInput(f"matcher {text[:100]!r}: not a regular expression (RE2): {why}") from error


def parse_matchers(texts: Iterable[str], *, some: bool = False) -> tuple[Matcher, ...]:
    """The matchers, which are ANDed. Raises InvalidInput listing every fault.

    With `some`, at least one must refuse an alert that has no labels: else everything would match.
    """
    found: list[Matcher] = []
    faults: list[str] = []
    for text in texts:
        try:
            found.append(parse_matcher(text))
        except InvalidInput as error:
            faults += error.faults
    if some and not faults and all(matcher.matches({}) for matcher in found):
        faults = ["matchers: at least one must name what is meant, such as agent=billing; these match every alert"]
    if faults:
        raise InvalidInput("; ".join(faults), faults)
    return tuple(found)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether the labels fulfil every matcher."""
    for matcher in matchers:  # noqa: SIM110  (a generator costs as much again, and many alerts may fire)
        if not matcher.matches(labels):
            return False
    return True
