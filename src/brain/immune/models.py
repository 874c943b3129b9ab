"""What a health event is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.errors import InvalidInput


class HealthEvent(msgspec.Struct, frozen=True):
    """Something that happened to the fleet's health.

    `module` is which module, agent or service it is about; `details` is the reporter's own data. `correlation_id`
    joins it to a story; left out, it is taken from the context (`with brain.correlation(...)`) or made anew.
    `id` and `timestamp` (Unix seconds) are given by the service that records it.
    Severity and kind may be given by name. Raises InvalidInput listing every fault.
    """

    severity: HealthSeverity
    kind: HealthKind
    module: str
    message: str
    details: dict[str, Any] = {}
    correlation_id: str | None = None
    id: int = 0
    timestamp: float = 0.0

    def __post_init__(self) -> None:
        faults: list[str] = []
        msgspec.structs.force_setattr(self, "severity", _named(HealthSeverity, self.severity, "severity", faults))
        msgspec.structs.force_setattr(self, "kind", _named(HealthKind, self.kind, "kind", faults))
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


E = TypeVar("E", bound=StrEnum)


def _named(kind: type[E], value: object, field: str, faults: list[str]) -> E | None:
    try:
        return kind(str(value).upper())
    except ValueError:
        faults.append(f"{field}: {limits.shown(value)} is not one of {', '.join(kind)}")
        return None


def _details_faults(details: object) -> list[str]:
    if not isinstance(details, dict):
        return [f"details: must be an object, not {type(details).__name__}"]
    fault = limits.fault_of(details)
    return [f"details: {fault}"] if fault is not None else []
