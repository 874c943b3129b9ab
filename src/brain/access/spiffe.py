"""SPIFFE ids, in the form in which they are compared."""

from __future__ import annotations

SPIFFE = "spiffe://"
"""How the names of SPIFFE begin."""


def lowered(name: str) -> str:
    """A SPIFFE id with its scheme and trust domain in lower case; any other name as it is."""
    if not name.lower().startswith(SPIFFE):
        return name
    domain, slash, path = name[len(SPIFFE) :].partition("/")
    return f"{SPIFFE}{domain.lower()}{slash}{path}"
