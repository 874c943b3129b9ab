"""An Event as a field of a pydantic model, and so as a body of a FastAPI route; imported when pydantic asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema
from pydantic_core import core_schema as cs

from brain.errors import EnvelopeError

if TYPE_CHECKING:
    from brain.charter.envelope import Event


def event_schema(event: type[Event]) -> CoreSchema:
    """Takes an Event, or a mapping of its fields; gives the mapping when it is written."""
    object_schema = cs.dict_schema(cs.str_schema(), cs.any_schema())
    fields = cs.typed_dict_schema(
        {
            "id": cs.typed_dict_field(cs.str_schema(), required=False),
            "type": cs.typed_dict_field(cs.str_schema()),
            "source": cs.typed_dict_field(cs.str_schema()),
            "target": cs.typed_dict_field(cs.nullable_schema(cs.str_schema()), required=False),
            "timestamp": cs.typed_dict_field(cs.float_schema(), required=False),
            "payload": cs.typed_dict_field(object_schema),
            "meta": cs.typed_dict_field(object_schema, required=False),
        },
        extra_behavior="forbid",
    )

    def made_of(given: Mapping[str, Any]) -> Event:
        try:
            return event(**given)
        except EnvelopeError as error:  # pydantic collects ValueErrors
            raise ValueError(str(error)) from error

    made = cs.no_info_after_validator_function(made_of, fields)
    return cs.json_or_python_schema(
        json_schema=made,
        python_schema=cs.union_schema([cs.is_instance_schema(event), made]),
        serialization=cs.plain_serializer_function_ser_schema(event.to_dict, return_schema=fields),
    )
