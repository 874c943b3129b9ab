"""The errors of this package: one small hierarchy.

Every message says what was wrong, where, and what to do. `status` is the HTTP status that the error is answered with;
on the command line each of them ends with exit code 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class BrainError(Exception):
    """The root: whatever this package raises on purpose."""

    status = 500
    title = "Internal error"


class InvalidInput(BrainError):
    """A value that was handed in is not acceptable; `faults` names each field and the remedy."""

    status = 422
    title = "Invalid input"

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


class EnvelopeError(InvalidInput):
    """An event that does not keep to the Charter; the message names the field."""

    title = "Malformed event envelope"


class NotFound(BrainError):
    """No object has that id."""

    status = 404
    title = "Not found"


class Conflict(BrainError):
    """The request does not fit the present state: an id taken, an illegal move, a version overtaken."""

    status = 409
    title = "Conflict"


class Unavailable(BrainError):
    """A part that is needed (Redis, the database file, an outside service) does not answer; try again later."""

    status = 503
    title = "Unavailable"
