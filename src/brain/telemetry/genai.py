"""What spans of models, tools and agents say, whichever package wrote them.

The names are those of the GenAI semantic conventions (https://github.com/open-telemetry/semantic-conventions-genai),
the old ones that packages still write, and those of OpenInference and OpenLLMetry. A leaf is a call of a model or a
tool; spans of agents and workflows repeat the sums of their leaves and are never counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from brain.telemetry.tables import NAME
from brain.text import clip_text

MODEL, TOOL = "model", "tool"
UNKNOWN = "unknown"
MOST = 1 << 53
"""Beyond it a number of tokens is taken for nonsense."""

_OPERATION = "gen_ai.operation.name"
_OPENINFERENCE = "openinference.span.kind"
_TRACELOOP = "traceloop.span.kind"
_LEAVES = frozenset({"chat", "generate_content", "text_completion", "embeddings"})
_AGENTS = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})
_TEXTS = (
    _OPERATION,
    _OPENINFERENCE,
    _TRACELOOP,
    "gen_ai.agent.name",
    "gen_ai.agent.id",
    "agent.name",
    "traceloop.association.properties.lc_agent_name",
    "metadata",
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "gen_ai.tool.name",
    "tool.name",
)
_INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
)
_REASONING = (
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
)
TEXTS: frozenset[str] = frozenset(_TEXTS)
"""Attributes that are read as texts."""
NUMBERS: frozenset[str] = frozenset((*_INPUT, *_OUTPUT, *_CACHED, *_REASONING))
"""Attributes that are read as whole numbers."""
WANTED: frozenset[str] = TEXTS | NUMBERS
"""Every attribute that is read: nothing else of a span is looked at, stored or logged."""


class Use(msgspec.Struct, array_like=True, gc=False):
    """One call of a model or a tool.

    `agent` is empty while no span has named it. `asked` is the model of the request.
    """

    kind: str
    name: str
    provider: str
    operation: str
    agent: str
    fallback: str
    asked: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    nanoseconds: int = 0
    error: bool = False


def read_use(given: Mapping[str, Any], service: str) -> Use | None:
    """The call that a span with these attributes is; None for any other span."""
    operation = given.get(_OPERATION)
    kind = given.get(_OPENINFERENCE)
    if operation in _LEAVES:
        return _model_use(given, str(operation), service)
    if operation == "execute_tool":
        return _use(TOOL, _first(given, ("gen_ai.tool.name", "tool.name")), given, "execute_tool", service)
    if operation is not None:
        return None
    if kind in ("LLM", "EMBEDDING"):
        return _model_use(given, "chat" if kind == "LLM" else "embeddings", service)
    if kind == "TOOL":
        return _use(TOOL, _first(given, ("tool.name", "gen_ai.tool.name")), given, "execute_tool", service)
    return None


def read_agent(given: Mapping[str, Any]) -> str | None:
    """The name of the agent whose span this is; "" for an agent without a name, None for any other span."""
    if given.get(_OPERATION) not in _AGENTS and given.get(_OPENINFERENCE) != "AGENT":
        return None
    return _named_agent(given) or label(given.get("gen_ai.agent.id"), "")


def _model_use(given: Mapping[str, Any], operation: str, service: str) -> Use:
    model = _first(given, ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"))
    use = _use(MODEL, model, given, operation, service)
    use.asked = label(given.get("gen_ai.request.model"), "")
    # Of one family of names only: where a span has both, they count the same tokens in two ways.
    use.input_tokens, use.output_tokens = _number(given, _INPUT), _number(given, _OUTPUT)
    use.cached_tokens = min(_number(given, _CACHED), use.input_tokens)
    use.reasoning_tokens = min(_number(given, _REASONING), use.output_tokens)
    return use


def _use(kind: str, name: str, given: Mapping[str, Any], operation: str, service: str) -> Use:
    provider = _first(given, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"))
    # The id of an agent is random in some packages: it stands for the agent only where nothing names one.
    fallback = label(given.get("gen_ai.agent.id"), "") or service
    return Use(kind, name, provider, operation, _named_agent(given), fallback)


def _named_agent(given: Mapping[str, Any]) -> str:
    for name in ("gen_ai.agent.name", "agent.name", "traceloop.association.properties.lc_agent_name"):
        if (found := given.get(name)) is not None:
            return label(found, "")
    metadata = given.get("metadata")
    if not metadata:
        return ""
    try:
        return label(msgspec.json.decode(metadata, type=_Metadata).lc_agent_name, "")
    except msgspec.MsgspecError:
        return ""


class _Metadata(msgspec.Struct):
    lc_agent_name: str = ""


def _first(given: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((label(found) for name in names if (found := given.get(name))), UNKNOWN)


def _number(given: Mapping[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        found = given.get(name)
        if found is not None:
            return found if 0 <= found <= MOST else 0
    return 0


def label(value: object, otherwise: str = UNKNOWN) -> str:
    """The value as a label: at most NAME characters, without NUL, which PostgreSQL does not take."""
    if not isinstance(value, str) or not value:
        return otherwise
    return value if len(value) <= NAME and "\0" not in value else clip_text(value, NAME, ellipsis="")
