"""A path as whoever serves files reads it: rules are written about that, whatever way a request puts it."""

from __future__ import annotations

from posixpath import normpath


def resolved(path: str) -> str:
    r"""The path without `//`, `.` and `..`, and with `/` for `\`; a `/` at its end stays."""
    if not any(odd in path for odd in ("//", "/.", "\\")):
        return path
    plain = path.replace("\\", "/")
    found = normpath(f"/{plain.lstrip('/')}")
    return f"{found}/" if plain.endswith("/") and found != "/" else found
