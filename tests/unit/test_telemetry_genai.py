"""What spans of models, tools and agents are taken for, as each package really writes them, in both forms of OTLP."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.errors import InvalidInput
from brain.telemetry.genai import NUMBERS, WANTED, Labels, read_meaning, read_tokens, whole_number
from brain.telemetry.otlp import OtlpBody, TooLarge, UnknownForm, accepted, refusal
from brain.telemetry.otlp_protobuf import parse
from brain.telemetry.pricing import UNIT, Prices
from brain.telemetry.requests import JSON, PROTOBUF, Calls
from brain.telemetry.settings import Price
from support.spans import AGENT, CHAT, TOKENS, Span, as_json, calls_in, protobuf

MOST = 1 << 20
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "fake-1",
    "llm.provider": "openai",
    "llm.token_count.prompt": 120,
    "llm.token_count.completion": 17,
    "llm.token_count.prompt_details.cache_read": 20,
    "llm.token_count.completion_details.reasoning": 5,
}
OLD_NAMES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.system": "strands-agents",
    "gen_ai.request.model": "fake-1",
    "gen_ai.usage.prompt_tokens": 120,
    "gen_ai.usage.completion_tokens": 17,
    "gen_ai.usage.cache_read_input_tokens": 20,
}
LEAVES: dict[str, dict[str, Any]] = {
    "pydantic-ai": {**CHAT, **TOKENS, "gen_ai.agent.name": "ann", "gen_ai.usage.details.reasoning_tokens": 5},
    "strands": {**OLD_NAMES, **TOKENS},
    "agent-framework": {**CHAT, **TOKENS, "gen_ai.response.model": "fake-1-answered"},
    "google-adk": {"gen_ai.operation.name": "generate_content", "gen_ai.request.model": "openai/fake-1", **TOKENS},
    "openinference": OPENINFERENCE,
    "old names": OLD_NAMES,
}


@pytest.mark.parametrize("write", [protobuf, as_json])
@pytest.mark.parametrize("package", LEAVES)
def test_a_call_of_a_model_is_read_whoever_wrote_it(package: str, write: Any) -> None:
    body = write([Span(1, 2, 3, LEAVES[package], seconds=1.5)])
    (use,) = calls_in(body.read(MOST))
    assert use.parent == (3).to_bytes(8, "big")
    assert (use.kind, use.input_tokens, use.output_tokens) == ("model", 120, 17)
    assert use.nanoseconds == 1_500_000_000
    assert use.agent == ("ann" if package == "pydantic-ai" else "")
    assert use.fallback == "svc"
    assert "fake-1" in use.name
    assert use.cached_tokens == (20 if package in ("strands", "openinference", "old names") else 0)


@pytest.mark.parametrize("write", [protobuf, as_json])
@pytest.mark.parametrize(
    "attributes",
    [
        {**AGENT, **TOKENS, "gen_ai.agent.name": "ann"},
        {"openinference.span.kind": "AGENT", "agent.name": "ann", **TOKENS},
        {"gen_ai.operation.name": "invoke_workflow", **TOKENS, "gen_ai.agent.name": "ann"},
    ],
)
def test_the_total_on_the_span_of_an_agent_is_no_call(attributes: dict[str, Any], write: Any) -> None:
    found = write([Span(1, 2, 0, attributes)]).read(MOST)
    assert calls_in(found) == []
    assert list(found.agents.values()) == [(b"", "ann")]


VALUES = st.one_of(
    st.sampled_from(["chat", "execute_tool", "invoke_agent", "LLM", "TOOL", "AGENT", "ann", "fake-1", "12", ""]),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from([7.0, 2.5, 1e300]),
    st.text(max_size=300),
)
NAMES = st.sampled_from([*sorted(WANTED), "http.route", ""])


@given(st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=12), max_size=5))
def test_spans_in_protobuf_are_read_as_the_whole_messages_say(attributes: list[list[tuple[str, Any]]]) -> None:
    """The reader that decodes what is asked for alone agrees with OpenTelemetry's own messages; repeated names, too."""
    body = protobuf([Span(1, number, 9, given) for number, given in enumerate(attributes, 1)])
    found, wanted = body.read(MOST), Calls("traces")
    for resource in parse("traces", body.data).resource_spans:
        for span in resource.scope_spans[0].spans:
            last = {one.key: one.value for one in span.attributes if one.key in WANTED}
            texts = {key: value.string_value for key, value in last.items() if key not in NUMBERS}
            numbers = {key: whole_number(_value(value)) for key, value in last.items() if key in NUMBERS}
            whole = {key: number for key, number in numbers.items() if number is not None}
            meaning = read_meaning(texts, "svc")
            is_model = isinstance(meaning, Labels) and meaning.kind == "model"
            tokens = read_tokens([*whole], [*whole.values()]) if is_model else (0, 0, 0, 0)
            ids = (span.trace_id, span.span_id, span.parent_span_id)
            wanted.add(ids, meaning, tokens, (1_000_000_000, False), "svc")
    assert calls_in(found) == calls_in(wanted)
    assert (found.agents, found.links) == (wanted.agents, wanted.links)


def _value(value: Any) -> object:
    return getattr(value, value.WhichOneof("value"))


def test_what_is_no_value_of_an_attribute_is_refused() -> None:
    body = protobuf([Span(1, 2, 3, {"gen_ai.operation.name": "chat"})])
    with pytest.raises(InvalidInput, match="body: "):
        OtlpBody("traces", PROTOBUF, "", body.data.replace(b"\x0a\x04chat", b"\x0a\x7fchat")).read(MOST)
    for form in (body, as_json([Span(1, 2, 3, {"gen_ai.operation.name": "chat"})])):
        with pytest.raises(InvalidInput, match="body: "):
            OtlpBody("traces", form.media_type, "", form.data.replace(b"chat", b"ch\xfft")).read(MOST)


@pytest.mark.parametrize("write", [protobuf, as_json])
def test_tools_plain_spans_and_bad_ids(write: Any) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    spans = [Span(1, 2, 0, tool), Span(1, 3, 2, {"http.route": "/x"}), Span(0, 4, 0, {}), Span(5, 0, 0, {})]
    found = write(spans).read(MOST)
    (use,) = calls_in(found)
    assert (use.kind, use.name, use.operation) == ("tool", "search", "execute_tool")
    assert [parent.hex() for _, _, parent in found.links] == ["0000000000000002"]
    assert found.refused.total() == 2
    assert found.items == {"svc": 4}


def test_names_from_elsewhere_and_nonsense() -> None:
    lc = {**OPENINFERENCE, "metadata": '{"lc_agent_name": "graph"}'}
    bad = {**CHAT, "gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": 2.5, "metadata": "{no json"}
    found = protobuf([Span(1, 1, 9, lc), Span(1, 2, 9, bad), Span(1, 3, 9, {**CHAT, "gen_ai.agent.id": "x7"})])
    first, second, third = calls_in(found.read(MOST))
    assert first.agent == "graph"
    assert (second.agent, second.input_tokens, second.output_tokens) == ("", 0, 0)
    assert (third.agent, third.fallback) == ("", "x7")


def test_whole_numbers_as_json_writes_them() -> None:
    value = '{"key": "gen_ai.usage.input_tokens", "value": {"intValue": %s}}'
    for text, number in (("999999999999", 999999999999), ('"7"', 7), ("7.0", 7), ("9007199254740994", 0)):
        kind = value.replace("intValue", "doubleValue") if "." in text else value
        span = (
            f'{{"traceId":"{1:032x}","spanId":"{2:016x}","attributes":[{{"key":"gen_ai.operation.name",'
            f'"value":{{"stringValue":"chat"}}}},{kind % text}]}}'
        )
        body = OtlpBody("traces", JSON, "", (f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}').encode())
        (use,) = calls_in(body.read(MOST))
        assert use.input_tokens == number


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_empty_requests_are_taken_and_garbage_is_not(signal: str, media_type: str) -> None:
    empty = b"{}" if media_type == JSON else b""
    assert OtlpBody(signal, media_type, "", empty).read(MOST).items == {}
    with pytest.raises(InvalidInput, match="is no request of OTLP"):
        OtlpBody(signal, media_type, "", b"garbage").read(MOST)


def test_gzip_has_bounds() -> None:
    good = protobuf([Span(1, 2, 3, {**CHAT, **TOKENS})])
    packed = gzip.compress(good.data)
    assert len(calls_in(OtlpBody("traces", PROTOBUF, "gzip", packed).read(MOST))) == 1
    with pytest.raises(TooLarge, match="unpacks to more than 1048576 bytes"):
        OtlpBody("traces", JSON, "gzip", gzip.compress(b" " * (MOST + 1))).read(MOST)
    with pytest.raises(InvalidInput, match="cut off"):
        OtlpBody("traces", PROTOBUF, "gzip", packed[:-9]).read(MOST)
    with pytest.raises(InvalidInput, match="is not gzip"):
        OtlpBody("traces", PROTOBUF, "gzip", b"plain").read(MOST)
    with pytest.raises(UnknownForm, match="'br' is not known"):
        OtlpBody("traces", PROTOBUF, "br", packed).read(MOST)


def test_answers_are_those_of_otlp() -> None:
    from google.rpc.status_pb2 import Status
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    body = protobuf([])
    assert accepted(body, 0).body == b""
    partial = ExportTraceServiceResponse.FromString(bytes(accepted(body, 300).body)).partial_success
    assert (partial.rejected_spans, partial.error_message) == (300, "spans without a valid trace id or span id")
    answered = as_json([])
    assert bytes(accepted(answered, 2).body) == (
        b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"spans without a valid trace id or span id"}}'
    )
    bad = refusal(PROTOBUF, InvalidInput("x" * 200))
    status = Status.FromString(bytes(bad.body))
    assert (bad.status_code, status.code, status.message) == (400, 3, "x" * 200)


def test_costs_are_exact_and_unknown_ones_are_not_zero() -> None:
    prices = Prices({"fake-1": Price(input=2.5, output=10, cached=0.0375)})
    labels = Labels("model", "fake-1-answered", "openai", "chat", "", "svc", "fake-1")
    cost = prices.cost(labels, 120, 17, 20)
    assert cost == 100 * 2_500_000 + 20 * 37_500 + 17 * 10_000_000
    assert cost == pytest.approx(0.00042075 * UNIT)
    assert prices.cost(Labels("model", "other", "openai", "chat", "", "svc"), 1, 1, 0) is None
    assert prices.cost(Labels("tool", "search", "unknown", "execute_tool", "", "svc"), 0, 0, 0) == 0
