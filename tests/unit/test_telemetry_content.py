"""What is forwarded holds no prompts, answers or arguments, and everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.telemetry.content import without_content
from brain.telemetry.requests import JSON, PROTOBUF
from support.spans import CHAT, TOKENS, Span, as_json, protobuf

SECRETS = {
    "gen_ai.input.messages": '[{"role": "user", "content": "SECRET"}]',
    "gen_ai.tool.call.arguments": '{"q": "SECRET"}',
    "input.value": "SECRET",
    "llm.input_messages.0.message.content": "SECRET",
    "traceloop.entity.output": "SECRET",
    "pydantic_ai.all_messages": "SECRET",
    "logfire.json_schema": "SECRET",
    "metadata": '{"user": "SECRET"}',
    "http.request.body": "SECRET" * 1000,
}
KEPT = {**CHAT, **TOKENS, "http.route": "/x", "gen_ai.conversation.id": "c1", "gen_ai.aggregated_usage.input_tokens": 5}


@pytest.mark.parametrize("write", [protobuf, as_json])
def test_spans_lose_what_people_and_models_said(write: Any) -> None:
    body = write([Span(1, 2, 3, {**KEPT, **SECRETS})])
    data, dropped = without_content("traces", body.media_type, body.data)
    assert b"SECRET" not in data
    assert dropped > 6000
    again, none = without_content("traces", body.media_type, data)
    assert (again, none) == (data, 0)
    assert all(name.encode() in data for name in KEPT)
    plain = write([Span(1, 2, 3, KEPT)])
    assert without_content("traces", plain.media_type, plain.data)[1] == 0


def test_logs_of_models_lose_their_bodies() -> None:
    def record(name: str) -> dict[str, Any]:
        attributes = [{"key": "event.name", "value": {"stringValue": name}}]
        return {"body": {"stringValue": "SECRET" if "gen" in name else "disk full"}, "attributes": attributes}

    records = [record("gen_ai.user.message"), record("disk")]
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    data, dropped = without_content("logs", JSON, json.dumps(request).encode())
    assert b"SECRET" not in data
    assert b"disk full" in data
    assert dropped > 0
    from google.protobuf.json_format import Parse
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    message = Parse(json.dumps(request), ExportLogsServiceRequest())
    data, dropped = without_content("logs", PROTOBUF, message.SerializeToString())
    assert b"SECRET" not in data
    assert b"disk full" in data


@pytest.mark.parametrize(
    ("media_type", "body"),
    [(JSON, b"[1"), (JSON, b'{"resourceSpans":[{"attributes":[5]}]}'), (PROTOBUF, b"garbage")],
)
def test_what_is_no_request_is_said_so(media_type: str, body: bytes) -> None:
    with pytest.raises(InvalidInput, match="is no request of OTLP"):
        without_content("traces", media_type, body)
