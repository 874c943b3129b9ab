"""Fields of request bodies that several modules share: JSON values and texts within the bounds of `brain.limits`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from brain import limits


def within(most_bytes: int) -> AfterValidator:
    """Refuses a JSON value that is nested too deeply, has more bytes, or holds what JSON and databases cannot."""

    def check(value: Any) -> Any:
        if (fault := limits.fault_of(value, most_bytes)) is not None:
            raise ValueError(fault)
        return value

    return AfterValidator(check)


def _bounds(most_bytes: int) -> Any:
    """The bounds in the JSON schema, which has no keywords for them."""
    return Field(json_schema_extra={"x-max-depth": limits.DEPTH, "x-max-bytes": most_bytes})


Value = Annotated[Any, within(limits.VALUE_BYTES), _bounds(limits.VALUE_BYTES)]
"""Any JSON value."""
Object = Annotated[dict[str, Any], within(limits.VALUE_BYTES), _bounds(limits.VALUE_BYTES)]
"""Any JSON object."""
ContextValue = Annotated[Any, within(limits.CONTEXT_BYTES), _bounds(limits.CONTEXT_BYTES)]
"""A member of a decision's context."""
ContextObject = Annotated[dict[str, Any], within(limits.CONTEXT_BYTES), _bounds(limits.CONTEXT_BYTES)]
"""A member of a decision's context that is an object."""

Text = Annotated[str, Field(max_length=limits.TEXT)]
Moment = Annotated[float, Field(ge=0, lt=limits.MOMENT)]
"""Unix seconds."""
Name = Annotated[str, Field(max_length=limits.ID)]
"""The name of a person."""
