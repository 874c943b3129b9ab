"""What a model's check finds at fault, in our words: pydantic's name its own types and errors, which no user knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["fault_words", "model_faults", "plain_words"]

_OWN_WORDS = {"extra_forbidden": "is unknown", "missing": "is missing"}
_RAISED = re.compile(r"(Value error|Assertion failed), ")
_SHOULD = re.compile(r"(Input|String|Bytes|List|Tuple|Set|Dictionary|Mapping|Iterable|Value|Number|Data) should ")
_MAPPING = re.compile(r"a valid dictionary(?: or (?:instance of \w+|object to extract fields from))?")
_PARSING = re.compile(r", unable to (parse|interpret) .*")


def fault_words(found: Mapping[str, Any]) -> str:
    """One of `ValidationError.errors()` in words that follow the name of its field."""
    return _OWN_WORDS.get(found["type"]) or plain_words(str(found["msg"]))


def plain_words(message: str) -> str:
    """The message of such a fault without pydantic's own terms."""
    words = _RAISED.sub("", message, count=1)
    if words != message:
        return words
    return _PARSING.sub("", _MAPPING.sub("an object of names and values", _SHOULD.sub("must ", words, count=1)))


def model_faults(error: ValidationError, whole: str = "the file") -> list[str]:
    """Each fault with its place; `whole` is the name of what was checked."""
    found = error.errors(include_url=False)
    return [f"{'.'.join(map(str, one['loc'])) or whole}: {fault_words(one)}" for one in found]
