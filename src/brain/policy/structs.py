"""Structs of msgspec with the fields that another class declares. They are fast, and have none of its checks.

So a field is declared once, with its type and meaning, however many forms of it there are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

import msgspec


def struct_of(
    shape: type,
    name: str,
    *,
    only: Collection[str] = (),
    lenient: bool = False,
    required: Collection[str] = (),
    defaults: Mapping[str, Any] = {},
    **types: Any,
) -> Any:
    """A Struct with the fields of `shape` (a TypedDict, dataclass or Struct), in their order; all must be given.

    A key that is NotRequired defaults to UNSET, which is left out when it is written. With `lenient`, for reading what
    others may have written, each field that is not among `required` may be missing or null, and is None then.
    `only` keeps to some fields; `types` replaces the type of some; those with `defaults` may be missing.
    """
    fields: list[Any] = []
    for field, hint in get_type_hints(shape, include_extras=True).items():
        if only and field not in only:
            continue
        kind = types.get(field, _bare(hint))
        if lenient and field not in required:
            fields.append((field, kind | None if kind is not Any else Any, None))
        elif get_origin(hint) is NotRequired:
            fields.append((field, kind | msgspec.UnsetType, msgspec.UNSET))
        elif field in defaults:
            fields.append((field, kind, defaults[field]))
        else:
            fields.append((field, kind))
    return msgspec.defstruct(name, fields, gc=False, kw_only=lenient)


def _bare(hint: Any) -> Any:
    """The type without NotRequired and Annotated."""
    while hasattr(hint, "__metadata__") or get_origin(hint) is NotRequired:
        hint = get_args(hint)[0]
    return hint
