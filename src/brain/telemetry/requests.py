"""What is taken from the requests of OTLP: calls, agents, and who is above whom. Everything else is passed over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from brain.telemetry.genai import Labels, Meaning, Tokens

TRACES, METRICS, LOGS = SIGNALS = ("traces", "metrics", "logs")
PROTOBUF, JSON = "application/x-protobuf", "application/json"
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)

Spans = list[tuple[bytes, bytes, bytes]]
Call = tuple[bytes, bytes, int, int, int, int, int, bool]
"""One call: trace id and span id together, the parent's span id, the four numbers of Tokens, its nanoseconds, and
whether it failed. A plain tuple, as there are 40,000 a second."""


@dataclass(slots=True)
class Calls:
    """What a request of OTLP says. Ids are bytes."""

    signal: str
    items: Counter[str] = field(default_factory=Counter)
    """How many spans, data points or log records came in, by service."""
    refused: Counter[str] = field(default_factory=Counter)
    """How many of them are no spans, by service."""
    calls: defaultdict[Labels, list[Call]] = field(default_factory=lambda: defaultdict(list))
    agents: dict[tuple[bytes, bytes], tuple[bytes, str]] = field(default_factory=dict)
    """The spans of agents, by trace and span: the parent, and the agent's name."""
    links: Spans = field(default_factory=list)
    """Trace, span and parent of all spans that are no calls."""

    def add(
        self, ids: tuple[bytes, bytes, bytes], meaning: Meaning, tokens: Tokens, timing: tuple[int, bool], service: str
    ) -> None:
        """A span: its trace, its own id and its parent's, and what it is; its nanoseconds and whether it failed."""
        trace, span, parent = ids
        if len(trace) != 16 or len(span) != 8 or trace == _NO_TRACE or span == _NO_SPAN:
            self.refused[service] += 1
        elif meaning is None:
            self.links.append(ids)
        elif isinstance(meaning, str):
            self.agents[trace, span] = (parent, meaning)
        else:
            self.calls[meaning].append((trace + span, parent, *tokens, *timing))


def joined(requests: Iterable[Calls]) -> Calls:
    """What all of them say about calls and agents; not how many items there were."""
    first, *others = requests
    if not others:
        return first
    found = Calls(first.signal)
    for one in (first, *others):
        for labels, calls in one.calls.items():
            found.calls[labels] += calls
        found.agents |= one.agents
        found.links += one.links
    return found
