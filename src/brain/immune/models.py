"""Health events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack

import msgspec
from msgspec import Meta

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.charter.vocabulary import parse_name
from brain.errors import InvalidInput


class _Recorded(TypedDict, total=False):
    id: int
    timestamp: float


class HealthEvent(msgspec.Struct, frozen=True):
    """A recorded health event.

    `correlation_id` joins it to other events; left out, it is taken from the context (`with brain.correlation(...)`) or
    made. `id` and `timestamp` are given by the service that records it. Severity and kind may be given by name. Raises
    InvalidInput listing every fault.
    """

    severity: Annotated[HealthSeverity, Meta(description="How much it matters.")]
    kind: Annotated[HealthKind, Meta(description="Which kind of event it is.")]
    module: Annotated[str, Meta(description="Which module, agent or service it is about.")]
    message: Annotated[str, Meta(description="What happened.")]
    details: Annotated[dict[str, Any], Meta(description="The reporter's own data.")] = {}
    correlation_id: Annotated[str | None, Meta(description="What it belongs to.")] = None
    id: Annotated[int, Meta(description="The event's number, counted from 1.")] = 0
    timestamp: Annotated[float, Meta(description="When it was recorded, in Unix seconds.")] = 0.0

    if TYPE_CHECKING:  # what `__post_init__` takes, which is more than what can be read afterwards

        def __init__(
            self,
            severity: HealthSeverity | str,
            kind: HealthKind | str,
            module: str,
            message: str,
            details: dict[str, Any] = ...,
            correlation_id: str | None = ...,
            **recorded: Unpack[_Recorded],
        ) -> None: ...

    def __post_init__(self) -> None:
        faults: list[str] = []
        for name, names in (("severity", HealthSeverity), ("kind", HealthKind)):
            try:
                msgspec.structs.force_setattr(self, name, parse_name(names, getattr(self, name), name))
            except InvalidInput as error:
                faults += error.faults
        texts = (("module", self.module, 1, limits.ID), ("message", self.message, 0, limits.TEXT))
        for field, value, least, most in texts:
            if not limits.is_length(value, least, most):
                faults.append(f"{field}: needs {least} to {most} characters of text")
        if self.correlation_id is not None and not limits.is_length(self.correlation_id, 0, limits.TEXT):
            faults.append(f"correlation_id: needs at most {limits.TEXT} characters of text, or nothing")
        if self.details:
            faults += _details_faults(self.details)
        if faults:
            raise InvalidInput(f"health event refused: {'; '.join(faults)}", faults)

    def __hash__(self) -> int:
        """By what does not depend on the details, which may be no members of a set."""
        return hash((self.id, self.timestamp, self.module, self.message))


def _details_faults(details: object) -> list[str]:
    if not isinstance(details, dict):
        return [f"details: must be an object, not {type(details).__name__}"]
    fault = limits.fault_of(details)
    return [f"details: {fault}"] if fault is not None else []
