"""Texts made to fit: clipped, on one line, or shortened to a key that stays unique.

A service counts characters, UTF-16 units (one written in Java or JavaScript: an emoji is two) or bytes.
"""

from __future__ import annotations

import hashlib
import re

from brain.neutral import printable

_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+").fullmatch


def clip_text(value: object, longest: int = 1000, ellipsis: str = "…") -> str:
    """The value as text of at most `longest` characters; the ellipsis replaces the rest, and null is empty.

    Every database takes it: the NUL character, which PostgreSQL refuses, is replaced.
    """
    if value.__class__ is str and len(value) <= longest and "\0" not in value:
        return value  # nearly all of them, and events are consumed by way of here
    text = "" if value is None else value if isinstance(value, str) else str(value)
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= longest else text[: longest - len(ellipsis)] + ellipsis


def utf16_units(text: str) -> int:
    """How many UTF-16 units the text has: what `length` is in Java and JavaScript."""
    return len(text) + sum(character > "\uffff" for character in text)


def clip_units(text: str, longest: int) -> str:
    """As `clip_text`, in at most `longest` UTF-16 units; no character is cut in two."""
    clipped = clip_text(text, longest)
    while (over := utf16_units(clipped) - longest) > 0:
        clipped = clip_text(clipped, max(1, len(clipped) - (over + 1) // 2))
    return clipped


def one_line_units(text: str, longest: int) -> str:
    """As `one_line`, in at most `longest` UTF-16 units."""
    return clip_units(printable(" ".join(text.split())), longest)


def one_line(text: str, longest: int) -> str:
    """The text on one line, white space folded, in at most `longest` characters."""
    return clip_text(printable(" ".join(text.split())), longest)


def short_key(text: str, longest: int) -> str:
    """A key in at most `longest` characters: the text itself, or one whose end is replaced by a hash.

    The same text always gives the same key, and different texts different ones.
    """
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: longest - len(digest) - 1]}-{digest}"


def short_key_units(text: str, longest: int) -> str:
    """As `short_key`, in at most `longest` UTF-16 units."""
    if utf16_units(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{clip_units(text, longest - len(digest) - 1)}-{digest}"


def plain_key(text: str, longest: int) -> str:
    """As `short_key`, of letters, digits and `_.:-` only, to stand in a query without escaping."""
    if _PLAIN(text) and len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{re.sub(r'[^A-Za-z0-9_.:-]', '-', text)[: longest - len(digest) - 1]}-{digest}"
