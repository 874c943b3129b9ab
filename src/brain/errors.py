"""The errors of this package: one small tree.

Every message says what was wrong, where, and what to do. `status` is the HTTP status that the error is answered with;
on the command line each of them ends with exit code 2.

    BrainError                     500  whatever this package raises on purpose
        InvalidInput               422  a value that was given is not acceptable
            EnvelopeError          422  an event does not keep to the Charter
            MissingExtra           501  a package that only an extra brings is not installed
            ArgumentsRefused       422  a tool's arguments do not fit its input schema
            SignatureFault         422  a request's signature does not count
            IssuerFault            422  an issuer, or what it says of somebody, does not count
                TokenFault         422  a token proves nothing
                ProofFault         422  a DPoP proof does not count
            DelegationFault        422  a delegation gives nothing
            BadNote                422  a signed note is malformed, or signed by another key
            BadProof               422  a proof does not prove what it should
            OutOfBounds            422  a genome leaves the bounds or types of its genes
            TooLarge               413  a body of OTLP is larger than it may be
            UnknownForm            415  a body of OTLP is in a form that is not known
        NotFound                   404  no object has that id
            NoGroup                404  the stream has no such consumer group
        Conflict                   409  the request does not fit the present state
            CannotContinue         409  a consumer stands still until somebody mends or decides something
            BegunBeforeFork        409  a loop over events, or a receipt, belongs to the process that forked this one
            OwnedElsewhere         409  another consumers' database has the group
            LeaseLost              409  the lease has ended, or somebody else has it
        Unavailable                503  a part that is needed does not answer
            NotNow                 503  it cannot be done at this moment, and whoever asks may know why
            CircuitOpen            503  a circuit breaker is open, so the call was not tried
            Closed                 503  the stream is closed in this process
            TryLater               503  an outside service cannot do it now
                NotYet             503  an outside service cannot take one message now, but takes others
            Tampered               503  the stored audit log contradicts itself
            NotSigned              503  a witness did not sign a checkpoint
                WitnessAhead       503  the witness has signed a larger tree already
        LimitExceeded              429  more calls than a limit lets through
        ActionDenied               403  the policy does not allow the action
            ApprovalRequired       403  the action waits for a person
            ActionDeniedHTTP       403  the same, as Starlette and FastAPI know it
                ApprovalRequiredHTTP 403  likewise, and an ApprovalRequired
        EntriesGone                410  entries of the audit log have no bytes any more
        NotWitnessed               500  the witness does not sign this; it says with which status
        TaskRefused                500  a task of a mission can never be done; what should do it says so
        StepFailed                 500  a step of a playbook could not do what it is for
        Forbidden                  403  whoever asks may not do this
        NotTheOwner                403  a study is changed by its owner and the owner's workers alone
        BadSignature               401  a message's signature is missing or does not fit
        Refused                    502  an outside service will never accept the request
        JournalFull                507  the disk leaves no room for another event
        NewerSchema                500  the tables were made by a newer version
        MarkMismatch               500  the backend knows another mark of the producer
        Fenced                     500  the consumer's lease is gone; others have taken over
        DemoFailed                 500  the server answered the demo with what it should not
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)


class Portable(Exception):
    """An exception that can be pickled and copied with all its attributes, whatever its class demands to be made."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[E], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> E:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class BrainError(Portable):
    """The root: whatever this package raises on purpose. It can be pickled and copied, to cross processes."""

    status = 500
    title = "Internal error"


class InvalidInput(BrainError):
    """A value that was handed in is not acceptable; `faults` names each field and the remedy."""

    status = 422
    title = "Invalid input"

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults: tuple[str, ...] = tuple(faults) or (message,)


class EnvelopeError(InvalidInput):
    """An event that does not keep to the Charter; the message names the field."""

    title = "Malformed event envelope"


class MissingExtra(InvalidInput, ModuleNotFoundError):
    """What was asked for needs a package that is not installed; the message has the pip line that brings it."""

    status = 501
    title = "Missing extra"


class NotFound(BrainError):
    """No object has that id."""

    status = 404
    title = "Not found"


class Conflict(BrainError):
    """The request does not fit the present state: an id taken, an illegal move, a version overtaken."""

    status = 409
    title = "Conflict"


class Forbidden(BrainError):
    """Whoever asks may not do this; the message says what would be needed."""

    status = 403
    title = "Forbidden"


class Unavailable(BrainError):
    """A part that is needed (Redis, the database file, an outside service) does not answer; try again later."""

    status = 503
    title = "Unavailable"


class NotNow(Unavailable):
    """What was asked for cannot be done at this moment, for a reason that whoever asks may know: the message has it."""
