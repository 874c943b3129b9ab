"""Resolves a path as a server of files does, so that rules see one form of it."""

from __future__ import annotations

from posixpath import normpath


def resolved(path: str) -> str:
    r"""The path without `//`, `.` and `..`, and with `/` for `\`; a `/` at its end stays."""
    if not any(odd in path for odd in ("//", "/.", "\\")):
        return path
    plain = path.replace("\\", "/")
    found = normpath(f"/{plain.lstrip('/')}")
    return f"{found}/" if plain.endswith("/") and found != "/" else found
