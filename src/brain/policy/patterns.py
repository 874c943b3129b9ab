"""RE2 patterns anchored at the start of the value: linear time on any input, bad ones refused with their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from brain.policy.values import Unknown
from brain.regular_expressions import Pattern, re2

_options = re2.Options()
_options.log_errors = False
_options.never_capture = True  # only whether it matches is asked; captures cost time

# A literal, then perhaps "anything": the common shape, which str.startswith answers several times as fast as RE2.
_PREFIX = re.compile(r"\^?((?:[A-Za-z0-9 _/:@,=~%&;!<>'\"#-]|\\[./_:-])*)(\.\*)?", re.ASCII)


class PatternError(ValueError):
    """RE2 refuses the pattern; the message names the pattern, the reason and the place."""


@lru_cache(maxsize=10_000)
def matcher(pattern: str) -> Callable[[str], bool]:
    """A function telling whether a string begins with a match of `pattern`. Raises PatternError.

    The function raises Unknown for what is no valid text, such as a file's name that is not UTF-8.
    """
    compiled, start = _compiled(pattern), re2._re2.RE2.Anchor.ANCHOR_START
    literal = literal_prefix(pattern)
    if literal is not None:
        return lambda value: value.startswith(literal)

    def matches(value: str) -> bool:
        try:
            data = value.encode()
        except UnicodeEncodeError:  # a lone surrogate: no text that RE2 knows
            raise Unknown from None
        # The wrapper's own match() maps offsets back to characters, which costs six times as much.
        spans: list[tuple[int, int]] = compiled._regexp.Match(start, data, 0, len(data))
        return spans[0][0] == 0

    return matches


@lru_cache(maxsize=10_000)
def literal_prefix(pattern: str) -> str | None:
    """The text that the value must begin with, when that is all the pattern says; else None."""
    simple = _PREFIX.fullmatch(pattern)
    return re.sub(r"\\(.)", r"\1", simple[1]) if simple else None


def check(pattern: str) -> None:
    """Raises PatternError when RE2 refuses `pattern`."""
    _compiled(pattern)


@lru_cache(maxsize=10_000)
def _compiled(pattern: str) -> Pattern:
    try:
        return Pattern(pattern, _options)
    except UnicodeEncodeError as error:
        raise PatternError(
            f"pattern {pattern!r} is no valid text: a lone surrogate at character {error.start}"
        ) from None
    except re2.error as error:
        raise PatternError(_explained(pattern, error)) from None


def _explained(pattern: str, error: Exception) -> str:
    said = error.args[0]
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    reason, _, fragment = text.partition(": ")
    place = pattern.find(fragment) if fragment else -1
    where = f" at character {place} ({fragment!r})" if place >= 0 else ""
    return f"pattern {pattern!r} is refused by RE2: {reason}{where}"
