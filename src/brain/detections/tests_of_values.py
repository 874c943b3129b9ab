"""The tests on a field's value, for the cases that the compiled code does not spell out: lists, and the rarer tests.

Each takes the texts of the field: one text, a tuple of several of which one must fit, or None.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from brain.detections.values import Texts
from brain.regular_expressions import Pattern, re2

_BELOW, _ABOVE = "lt", "gt"


def any_eq(texts: Texts, wanted: str) -> bool:
    """Whether one is this text."""
    return texts is not None and (texts == wanted if type(texts) is str else wanted in texts)


def any_in(texts: Texts, wanted: Collection[str]) -> bool:
    """Whether one is among these texts."""
    return texts is not None and (texts in wanted if type(texts) is str else any(one in wanted for one in texts))


def any_part(texts: Texts, wanted: str) -> bool:
    """Whether one contains this text."""
    return texts is not None and (wanted in texts if type(texts) is str else any(wanted in one for one in texts))


def any_starts(texts: Texts, wanted: str | tuple[str, ...]) -> bool:
    """Whether one begins with this text, or one of these."""
    if texts is None:
        return False
    return texts.startswith(wanted) if type(texts) is str else any(one.startswith(wanted) for one in texts)


def any_ends(texts: Texts, wanted: str | tuple[str, ...]) -> bool:
    """Whether one ends with this text, or one of these."""
    if texts is None:
        return False
    return texts.endswith(wanted) if type(texts) is str else any(one.endswith(wanted) for one in texts)


def parts_in(texts: Texts, wanted: Collection[str]) -> bool:
    """Whether one contains one of these texts."""
    if texts is None:
        return False
    for text in (texts,) if type(texts) is str else texts:
        for part in wanted:  # several times as quick as `any`
            if part in text:
                return True
    return False


def any_pieces(texts: Texts, pieces: Sequence[str]) -> bool:
    """Whether one begins with the first piece, ends with the last, and has the others between them in order."""
    if texts is None:
        return False
    first, *between, last = pieces
    for text in (texts,) if type(texts) is str else texts:
        end = len(text) - len(last)
        at = len(first)
        if end < at or not text.startswith(first) or not text.endswith(last):
            continue
        for piece in between:
            at = text.find(piece, at, end)
            if at < 0:
                break
            at += len(piece)
        else:
            return True
    return False


def is_empty(texts: Texts) -> bool:
    """Whether there is nothing: missing, null, an empty text or list."""
    return not texts


def is_some(texts: Texts) -> bool:
    """Whether there is a text that is not empty."""
    return bool(texts) if type(texts) is str else texts is not None and any(texts)


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """The search of an RE2 pattern, in linear time. Raises re2.error."""
    options = re2.Options()
    options.log_errors = False
    search: Callable[[str], object] = Pattern(pattern, options).search
    return search


def any_search(texts: Texts, search: Callable[[str], object]) -> bool:
    """Whether the pattern is found in one."""
    if texts is None:
        return False
    for text in (texts,) if type(texts) is str else texts:
        try:
            if search(text):
                return True
        except UnicodeEncodeError:  # a lone surrogate, which RE2 cannot read
            if search(text.encode("utf-8", "replace").decode()):
                return True
    return False


def any_compare(texts: Texts, op: str, number: float) -> bool:
    """Whether one is a number that compares so."""
    if texts is None:
        return False
    for text in (texts,) if type(texts) is str else texts:
        try:
            value = float(text)
        except ValueError:
            continue
        if op == "neq":
            if value != number:
                return True
        elif (value < number if op.startswith(_BELOW) else value > number) or (op.endswith("e") and value == number):
            return True
    return False


@lru_cache(65_536)
def _address(text: str) -> Any:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if address.version == 6 else address


def any_within(texts: Texts, network: Any) -> bool:
    """Whether one is an address in the network."""
    if texts is None:
        return False
    for text in (texts,) if type(texts) is str else texts:
        address = _address(text)
        if address is not None and address.version == network.version and address in network:
            return True
    return False


def any_same(texts: Texts, others: Texts, mode: str) -> bool:
    """Whether one is, begins or ends with, or contains one of another field's texts, in lower case both."""
    if texts is None or others is None:
        return False
    test = {"": any_eq, "starts": any_starts, "ends": any_ends, "part": any_part}[mode]
    return any(test(texts, other) for other in ((others,) if type(others) is str else others))


def any_moment(texts: Texts, part: str, number: int) -> bool:
    """Whether one is a time whose minute, hour, day, week, month or year (UTC where it has no zone) is this."""
    if texts is None:
        return False
    for text in (texts,) if type(texts) is str else texts:
        moment = _moment(text)
        if moment is not None and (moment.isocalendar().week if part == "week" else getattr(moment, part)) == number:
            return True
    return False


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    try:
        seconds = float(text)
        return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
