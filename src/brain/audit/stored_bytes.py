"""An entry's bytes in its row: without their beginning where the columns `event_id` and `type` hold that already.

An event of ours begins with `{"id":"...","type":"...",`: an eighth of a decision, and seven rows fit into a page
instead of six. What is left begins with a quotation mark, as no event does. So each row says by itself which it is, and
rows of earlier versions, which hold all bytes, are read as they are.
"""

from __future__ import annotations

from typing import overload

from sqlalchemy import ColumnElement, LargeBinary, and_, case, cast, func, literal

from brain.audit.tables import entries

_MARK = b'"'


def stored(data: bytes, event_id: str | None, type: str) -> bytes:
    """What the row holds of the bytes of an entry with these search fields."""
    if event_id is None:
        return data
    beginning = _beginning(event_id, type)
    rest = len(beginning)
    return data[rest:] if data.startswith(beginning) and data[rest : rest + 1] == _MARK else data


@overload
def whole(found: bytes, event_id: str | None, type: str) -> bytes: ...
@overload
def whole(found: bytes | None, event_id: str | None, type: str) -> bytes | None: ...
def whole(found: bytes | None, event_id: str | None, type: str) -> bytes | None:
    """The entry's bytes again; None where they were deleted."""
    if found is None or event_id is None or found[:1] != _MARK:
        return found
    return _beginning(event_id, type) + found


def whole_in_sqlite() -> ColumnElement[bytes]:
    """The same as an expression of SQLite."""
    payload, event_id = entries.c.payload, entries.c.event_id
    cut = and_(event_id.is_not(None), func.substr(payload, 1, 1) == _MARK)
    texts = literal('{"id":"') + event_id + literal('","type":"') + entries.c.type + literal('",')
    return case((cut, cast(texts.concat(payload), LargeBinary)), else_=payload)


def _beginning(event_id: str, type: str) -> bytes:
    return f'{{"id":"{event_id}","type":"{type}",'.encode("utf-8", "surrogatepass")
