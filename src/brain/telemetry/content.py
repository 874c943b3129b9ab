"""Prompts, answers and arguments of tools are taken out of OTLP before it is forwarded.

Packages write them into spans by default. Of the names that packages for models and agents use only those of an
allow-list are kept; of all other names what is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.extras import needs
from brain.json_text import JSON_FAULTS
from brain.telemetry.genai import WANTED
from brain.telemetry.requests import JSON, LOGS, METRICS

LONGEST = 1024
"""Bytes of a text that is kept under a name of no package for models."""
_MODELS = (
    "all_messages",
    "completion",
    "document.",
    "embedding.",
    "events",
    "final_result",
    "gen_ai.",
    "input.",
    "llm.",
    "logfire.",
    "message",
    "metadata",
    "model_request_parameters",
    "openinference.",
    "output.",
    "prompt",
    "pydantic_ai.",
    "reranker.",
    "retrieval.",
    "tool",
    "traceloop.",
)
_KEPT = (WANTED - {"metadata"}) | {
    "gen_ai.agent.version",
    "gen_ai.conversation.id",
    "gen_ai.output.type",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.token.type",
    "gen_ai.tool.call.id",
    "gen_ai.tool.type",
}
_NUMBERS = ("gen_ai.usage.", "gen_ai.aggregated_usage.", "llm.token_count.")


def without_content(signal: str, media_type: str, body: bytes) -> tuple[bytes, int]:
    """The request without what people and models said, and how many bytes of it were dropped. Raises InvalidInput."""
    return _json(signal, body) if media_type == JSON else _protobuf(signal, body)


def _is_kept(key: str, size: int) -> bool:
    if key in _KEPT or key.startswith(_NUMBERS):
        return size <= LONGEST
    return size <= LONGEST and not key.startswith(_MODELS)


def _json(signal: str, body: bytes) -> tuple[bytes, int]:
    try:
        document = msgspec.json.decode(body)
        dropped = _in_document(document, signal)
    except (*JSON_FAULTS, AttributeError, TypeError) as error:
        raise InvalidInput(f"body: is no request of OTLP: {error}") from error
    return msgspec.json.encode(document), dropped


def _in_document(value: Any, signal: str) -> int:
    """Every list of attributes in the document, however deep, and the bodies of log records of models."""
    if isinstance(value, list):
        return sum(_in_document(one, signal) for one in value)
    if not isinstance(value, dict):
        return 0
    dropped = 0
    for key, found in value.items():
        if key in ("attributes", "filteredAttributes") and isinstance(found, list):
            kept = [
                one for one in found if _is_kept(str(one.get("key", "")), len(msgspec.json.encode(one.get("value"))))
            ]
            dropped += len(msgspec.json.encode(found)) - len(msgspec.json.encode(kept)) if len(kept) < len(found) else 0
            value[key] = kept
        else:
            dropped += _in_document(found, signal)
    if signal == LOGS and "body" in value and _speaks(_names(value)):
        dropped += len(msgspec.json.encode(value.pop("body")))
    return dropped


def _names(record: Mapping[str, Any]) -> list[str]:
    named = [one.get("value") for one in record.get("attributes", ()) if one.get("key") == "event.name"]
    return [str(record.get("eventName", "")), *(str((one or {}).get("stringValue", "")) for one in named)]


def _speaks(names: list[str]) -> bool:
    return any(name.startswith("gen_ai.") for name in names)


def _protobuf(signal: str, body: bytes) -> tuple[bytes, int]:
    with needs("OTLP in protobuf", "telemetry"):
        from brain.telemetry.otlp_protobuf import parse
    message = parse(signal, body)
    if signal == METRICS:
        dropped = _in_metrics(message)
    elif signal == LOGS:
        dropped = _in_logs(message)
    else:
        dropped = _in_traces(message)
    return message.SerializeToString(), dropped


def _in_traces(message: Any) -> int:
    dropped = 0
    for resource in message.resource_spans:
        dropped += _in_attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                dropped += _in_attributes(span.attributes)
                dropped += sum(_in_attributes(one.attributes) for one in (*span.events, *span.links))
    return dropped


def _in_logs(message: Any) -> int:
    dropped = 0
    for resource in message.resource_logs:
        dropped += _in_attributes(resource.resource.attributes)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                named = [one.value.string_value for one in record.attributes if one.key == "event.name"]
                if _speaks([record.event_name, *named]):
                    dropped += record.body.ByteSize()
                    record.ClearField("body")
                dropped += _in_attributes(record.attributes)
    return dropped


def _in_metrics(message: Any) -> int:
    return sum(
        _in_attributes(point.attributes)
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data")) is not None
        for point in getattr(metric, kind).data_points
    )


def _in_attributes(attributes: Any) -> int:
    kept, dropped = [], 0
    for one in attributes:
        size = one.value.ByteSize()
        if _is_kept(one.key, size):
            kept.append(one)
        else:
            dropped += size
    if dropped or len(kept) < len(attributes):
        copies = [type(one).FromString(one.SerializeToString()) for one in kept]
        del attributes[:]
        attributes.extend(copies)
    return dropped
