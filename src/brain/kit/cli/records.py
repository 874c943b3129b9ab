"""Words of people on the command line: secrets in them are replaced before anything is made of them.

The server does the same with the bodies of requests (docs/decisions/0080-bodies-are-redacted-at-the-edge.md).
"""

from __future__ import annotations

from typing import TypeVar

from brain.redaction import is_clean

T = TypeVar("T")

WORDS = frozenset(
    {"assignee", "by", "changes", "correlation_id", "matchers", "note", "owner", "reason", "result", "text", "title"}
)
"""Parameters of commands that take what a person says: records, by which nothing is decided or done.

A correlation id is among them: events have theirs with the same marks, so that it is found.
"""


def as_record(value: T, stream: str | None) -> T:
    """The value with each secret in it replaced; the marks are those of this stream. Raises InvalidInput for settings
    that cannot be read."""
    if is_clean(value):
        return value  # as nearly always: the settings are not read for it
    from brain.redaction import redacted
    from brain.settings import load_settings
    from brain.stream.stream import use_marks_of

    use_marks_of(stream or load_settings().stream)
    found: T = redacted(value)
    return found
