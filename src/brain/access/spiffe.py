"""SPIFFE ids, in the form in which they are compared. Source: SPIFFE-ID.md and X509-SVID.md of spiffe/spiffe."""

from __future__ import annotations

import re

SPIFFE = "spiffe://"
"""How the names of SPIFFE begin."""
_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)").fullmatch


def lowered(name: str) -> str:
    """A SPIFFE id with its scheme and trust domain in lower case; any other name as it is."""
    if not name.lower().startswith(SPIFFE):
        return name
    domain, slash, path = name[len(SPIFFE) :].partition("/")
    return f"{SPIFFE}{domain.lower()}{slash}{path}"


def trust_domain(name: str) -> str | None:
    """The trust domain of a workload's id, as `lowered` gives it; None for what is none.

    A path has no segment that is empty, `.` or `..`, and there is no query, port or letter beyond ASCII.
    """
    found = _ID(name)
    if found is None or any(part in (".", "..") for part in found[2].split("/")):
        return None
    return found[1]
