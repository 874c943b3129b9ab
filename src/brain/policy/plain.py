"""Any value as plain JSON: what an event can carry of what people's code passes around."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_MAX_TEXT = 1_000


def plain(value: object) -> Any:
    """`value` as JSON values; what JSON cannot hold becomes its `repr`, shortened. Never raises."""
    try:
        return msgspec.json.decode(_encode(value))
    except Exception:  # noqa: BLE001  (values of the caller's own types may raise anything)
        return _slowly(value, 20)


_encode = msgspec.json.Encoder(enc_hook=lambda value: _text(value)).encode


def _slowly(value: object, depth: int) -> Any:
    """Member by member, for what the encoder does not take: keys that are no strings, numbers beyond 64 bits, loops."""
    if depth and isinstance(value, Mapping):
        return {_key(key): _slowly(member, depth - 1) for key, member in value.items()}
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return [_slowly(member, depth - 1) for member in value]
    try:
        return msgspec.json.decode(_encode(value))
    except Exception:  # noqa: BLE001  (as above)
        return _text(value)


def _key(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() else _text(key)


def _text(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  (as above)
        text = f"<{type(value).__name__}>"
    return text.encode(errors="replace").decode()[:_MAX_TEXT]
