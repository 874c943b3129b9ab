"""What spans of models, tools and agents say, whichever package wrote them.

The names are those of the GenAI semantic conventions (https://github.com/open-telemetry/semantic-conventions-genai),
the old ones that packages still write, and those of OpenInference and OpenLLMetry. A leaf is a call of a model or a
tool; spans of agents and workflows repeat the sums of their leaves and are never counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from brain.json_text import JSON_FAULTS
from brain.redaction import is_clean, redacted_text
from brain.telemetry.tables import NAME
from brain.text import clip_text
from brain.typed import ready

MODEL, TOOL = "model", "tool"
UNKNOWN = "unknown"
MOST = 1 << 40
"""Beyond it a number of tokens of one call is taken for nonsense: sums of them would not fit into a column."""
LONGEST = 1 << 53
"""Nanoseconds, 104 days: beyond it the time of one call is taken for nonsense."""

OPERATION = "gen_ai.operation.name"
OPENINFERENCE = "openinference.span.kind"
_TRACELOOP = "traceloop.span.kind"
_LEAVES = frozenset({"chat", "generate_content", "text_completion", "embeddings"})
_AGENTS = frozenset({"invoke_agent", "create_agent", "invoke_workflow"})
_TEXTS = (
    OPERATION,
    OPENINFERENCE,
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


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What a call of a model or a tool is counted under; compared by identity, as it stands for many calls.

    `agent` is empty while no span has named it. `asked` is the model of the request.
    """

    kind: str
    name: str
    provider: str
    operation: str
    agent: str
    fallback: str
    asked: str = ""


Meaning = Labels | str | None
"""What a span is: a call, by its labels; an agent, by its name ("" for one without); None for any other."""
Tokens = tuple[int, int, int, int]
"""Of input and of output, and how many of them were cached and were reasoning."""
NO_TOKENS: Tokens = (0, 0, 0, 0)


def read_meaning(given: Mapping[str, str], service: str) -> Meaning:
    """What a span with these texts is."""
    operation = given.get(OPERATION)
    kind = given.get(OPENINFERENCE)
    if operation in _LEAVES:
        return _model_labels(given, str(operation), service)
    if operation == "execute_tool":
        return _labels(TOOL, _first(given, ("gen_ai.tool.name", "tool.name")), given, "execute_tool", service)
    if operation is None and kind in ("LLM", "EMBEDDING"):
        return _model_labels(given, "chat" if kind == "LLM" else "embeddings", service)
    if operation is None and kind == "TOOL":
        return _labels(TOOL, _first(given, ("tool.name", "gen_ai.tool.name")), given, "execute_tool", service)
    if operation in _AGENTS or kind == "AGENT":
        return _named_agent(given) or label(given.get("gen_ai.agent.id"), "")
    return None


def read_tokens(names: Sequence[str], values: Sequence[int]) -> Tokens:
    """The tokens that these attributes say; the values are those that `whole_number` gives."""
    given, answered, cached, reasoning = _places(tuple(names))
    values = (*values, 0)
    most, most_answered = values[given], values[answered]
    return most, most_answered, min(values[cached], most), min(values[reasoning], most_answered)


@lru_cache(256)
def _places(names: tuple[str, ...]) -> tuple[int, int, int, int]:
    """Where in `names` each number is, -1 for nowhere: of one family of names only, as two count the same tokens."""
    given, answered, cached, reasoning = (
        next((names.index(name) for name in family if name in names), -1)
        for family in (_INPUT, _OUTPUT, _CACHED, _REASONING)
    )
    return given, answered, cached, reasoning


def whole_number(value: object) -> int | None:
    """The value as a number of tokens: None where it is no whole number, 0 where it is nonsense."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST else 0


def duration(started: int, ended: int) -> int:
    """Nanoseconds; 0 where the times are nonsense."""
    found = ended - started
    return found if 0 <= found <= LONGEST else 0


def _model_labels(given: Mapping[str, str], operation: str, service: str) -> Labels:
    model = _first(given, ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"))
    return _labels(MODEL, model, given, operation, service, label(given.get("gen_ai.request.model"), ""))


def _labels(kind: str, name: str, given: Mapping[str, str], operation: str, service: str, asked: str = "") -> Labels:
    provider = _first(given, ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"))
    # The id of an agent is random in some packages: it stands for the agent only where nothing names one.
    fallback = label(given.get("gen_ai.agent.id"), "") or service
    return Labels(kind, name, provider, operation, _named_agent(given), fallback, asked)


def _named_agent(given: Mapping[str, str]) -> str:
    for name in ("gen_ai.agent.name", "agent.name", "traceloop.association.properties.lc_agent_name"):
        if (found := given.get(name)) is not None:
            return label(found, "")
    metadata = given.get("metadata")
    if not metadata:
        return ""
    try:
        return label(msgspec.json.decode(metadata, type=ready(_Metadata)).lc_agent_name, "")
    except JSON_FAULTS:
        return ""


class _Metadata(msgspec.Struct):
    lc_agent_name: str = ""


def _first(given: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((label(found) for name in names if (found := given.get(name))), UNKNOWN)


def label(value: object, otherwise: str = UNKNOWN) -> str:
    """The value as a label, with marks for secrets: at most NAME characters, without NUL, for PostgreSQL."""
    if not isinstance(value, str) or not value:
        return otherwise
    if not is_clean(value):
        value = redacted_text(value)
    return value if len(value) <= NAME and "\0" not in value else clip_text(value, NAME, ellipsis="")
