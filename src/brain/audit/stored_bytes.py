"""An entry's bytes in its row: without their beginning where the columns `event_id` and `type` hold that already.

An event of ours begins with `{"id":"...","type":"...",`: an eighth of a decision, and seven rows fit into a page
instead of six. What is left begins with a quotation mark, as no event does. So each row says by itself which it is, and
rows of earlier versions, which hold all bytes, are read as they are.
"""

from __future__ import annotations

from typing import overload

MARK = b'"'
"""What the rest begins with."""


def stored(data: bytes, event_id: str | None, type: str) -> bytes:
    """What the row holds of the bytes of an entry with these search fields."""
    if event_id is None:
        return data
    beginning = _beginning(event_id, type)
    rest = len(beginning)
    return data[rest:] if data.startswith(beginning) and data[rest : rest + 1] == MARK else data


@overload
def whole(found: bytes, event_id: str | None, type: str) -> bytes: ...
@overload
def whole(found: bytes | None, event_id: str | None, type: str) -> bytes | None: ...
def whole(found: bytes | None, event_id: str | None, type: str) -> bytes | None:
    """The entry's bytes again; None where they were deleted."""
    if found is None or event_id is None or found[:1] != MARK:
        return found
    return _beginning(event_id, type) + found


def _beginning(event_id: str, type: str) -> bytes:
    return f'{{"id":"{event_id}","type":"{type}",'.encode("utf-8", "surrogatepass")
