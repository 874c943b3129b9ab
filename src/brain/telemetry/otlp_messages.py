"""The messages of OTLP for traces, with the fields alone that are read: https://github.com/open-telemetry/opentelemetry-proto.

Attributes are declared as maps, which are the same on the wire as lists of keys and values
(https://protobuf.dev/programming-guides/encoding/#maps), from names to values that are not decoded: only those that are
asked for cost anything. Needs the extra `telemetry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.extras import needs

with needs(__name__, "telemetry"):
    from google.protobuf import descriptor_pool, message_factory
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_PACKAGE = "brain.telemetry"
_BYTES, _TEXT, _TIME, _ENUM = (
    FieldDescriptorProto.TYPE_BYTES,
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_FIXED64,
    FieldDescriptorProto.TYPE_INT32,
)
_ATTRIBUTES = "attributes"

_MESSAGES: Mapping[str, Mapping[str, tuple[int, Any]]] = {
    "Traces": {"resource_spans": (1, ["ResourceSpans"])},
    "ResourceSpans": {"resource": (1, "Resource"), "scope_spans": (2, ["ScopeSpans"])},
    "Resource": {_ATTRIBUTES: (1, None)},
    "ScopeSpans": {"spans": (2, ["Span"])},
    "Span": {
        "trace_id": (1, _BYTES),
        "span_id": (2, _BYTES),
        "parent_span_id": (4, _BYTES),
        "start_time_unix_nano": (7, _TIME),
        "end_time_unix_nano": (8, _TIME),
        _ATTRIBUTES: (9, None),
        "status": (15, "Status"),
    },
    "Status": {"code": (3, _ENUM)},
}
"""The fields by name: the number, and the type; the name of a message, in a list where there are many."""


def _field(name: str, number: int, kind: Any) -> FieldDescriptorProto:
    many = isinstance(kind, list)
    label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
    made = FieldDescriptorProto(name=name, number=number, label=label)
    if isinstance(kind, (str, list)):
        made.type = FieldDescriptorProto.TYPE_MESSAGE
        made.type_name = f".{_PACKAGE}.{kind[0] if many else kind}"
    else:
        made.type = kind
    return made


def _class(name: str) -> Any:
    file = FileDescriptorProto(name="brain/telemetry.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in _MESSAGES.items():
        made = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            if field == _ATTRIBUTES:
                entry = made.nested_type.add(name="AttributesEntry")
                entry.options.map_entry = True
                entry.field.extend([_field("key", 1, _TEXT), _field("value", 2, _BYTES)])
                kind = [f"{message}.AttributesEntry"]
            made.field.append(_field(field, number, kind))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Traces: Any = _class("Traces")
"""A request for traces."""
