"""What is taken from the requests of OTLP: calls, agents, and who is above whom. Everything else is passed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brain.telemetry.genai import Use, read_agent, read_use

TRACES, METRICS, LOGS = SIGNALS = ("traces", "metrics", "logs")
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)

Spans = list[tuple[bytes, bytes, bytes]]


@dataclass(slots=True)
class Calls:
    """What a request of OTLP says. Ids are bytes; `uses` are by trace id and span id together, with the parent's."""

    signal: str
    items: Counter[str] = field(default_factory=Counter)
    """How many spans, data points or log records came in, by service."""
    refused: Counter[str] = field(default_factory=Counter)
    """How many of them are no spans, by service."""
    uses: dict[bytes, tuple[bytes, Use]] = field(default_factory=dict)
    agents: dict[tuple[bytes, bytes], tuple[bytes, str]] = field(default_factory=dict)
    """The spans of agents, by trace and span: the parent, and the agent's name."""
    links: Spans = field(default_factory=list)
    """Trace, span and parent of all spans that are no calls."""

    def add(self, ids: tuple[bytes, bytes, bytes], given: Mapping[str, Any], service: str) -> Use | None:
        """A span: its trace, its own id and its parent's, and the attributes that are wanted; the call that it is."""
        trace, span, parent = ids
        if len(trace) != 16 or len(span) != 8 or trace == _NO_TRACE or span == _NO_SPAN:
            self.refused[service] += 1
            return None
        if given:
            use = read_use(given, service)
            if use is not None:
                self.uses[trace + span] = (parent, use)
                return use
            agent = read_agent(given)
            if agent is not None:
                self.agents[trace, span] = (parent, agent)
                return None
        self.links.append(ids)
        return None
