"""What all stores refuse alike, said in the same words."""

from __future__ import annotations

from brain.errors import Conflict, InvalidInput


def check_key(collection: str, key: str) -> None:
    """Raise InvalidInput for a key that some store could not keep: empty, or not writable as UTF-8."""
    if not key:
        raise InvalidInput(f"key in {collection}: is empty; give a non-empty string")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"key in {collection}: {key!r} cannot be written as UTF-8: {error.reason}") from error


def check_version(collection: str, key: str, found: int, expected: int | None) -> None:
    """Raise Conflict when a caller expects another version than the one found (0: absent)."""
    if expected is None or expected == found:
        return
    wanted = f"version {expected}" if expected else "to be absent"
    present = f"version {found}" if found else "absent"
    raise Conflict(f"{collection}/{key}: expected {wanted}, but it is {present}; read it again and retry")
