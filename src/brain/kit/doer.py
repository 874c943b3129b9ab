"""Whose doing a request is: of whoever proves who they are, and not of a name that anybody could give."""

from __future__ import annotations

from typing import TypeVar

from brain.charter import current_principal
from brain.charter.context import CURRENT

T = TypeVar("T", str, str | None)


def doer(by: T) -> T:
    """The name for `by` of what a request does: that of the key, agent or session that acts.

    Another name that the request gave is kept in the events' meta, as `on_behalf_of`. Where nobody is proven, or by
    the key of the settings alone, which a team may share, it is the name that was given.
    """
    who = current_principal()
    if who is None or not who.is_one:
        return by
    if by and by != who.name and not who.chain:
        CURRENT.set({**CURRENT.get(), "on_behalf_of": by})  # until the request ends, as all of its meta
    return who.name
