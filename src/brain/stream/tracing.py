"""W3C trace context and OpenTelemetry spans for events; free of charge for programs that do not trace.

The first check is whether the program has loaded an OpenTelemetry SDK. Only then is brain.stream.spans imported, and,
if the program has set a provider of tracers, every `publish()` becomes a span `publish <type>`, and every handled event
a span `process <type>` that continues its trace. See docs/correlation.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from sys import modules
from typing import TYPE_CHECKING

from brain.charter import Event, in_the_wake_of

if TYPE_CHECKING:
    from brain.stream.receipt import Receipt

SDK = "opentelemetry.sdk.trace"
"""The module whose presence in `sys.modules` says that this program traces."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch


def traceparent_in(text: str) -> str | None:
    """The W3C trace parent in `text`, as version 00; None when it is malformed.

    https://www.w3.org/TR/trace-context/#traceparent-header: a later version may have more fields after these.
    """
    found = _TRACEPARENT(text.strip())
    if found is None:
        return None
    release, trace, span, flags, more = found.groups()
    if release == "ff" or (release == "00" and more) or not trace.strip("0") or not span.strip("0"):
        return None
    return f"00-{trace}-{span}-{flags}"


def handling(event: Event, group: str) -> AbstractContextManager[None]:
    """Inside `with handling(event, group):` what is published carries on the event's correlation, cause and trace.

    Consumers do this for their handlers; a loop over `stream.subscribe(pattern, group=...)` does it itself.
    """
    if SDK in modules:
        from brain.stream import spans

        if spans.wanted():
            return spans.Processing(event, group)
    return in_the_wake_of(event)


def publish_traced(publish: Callable[[Event], Receipt], event: Event) -> Receipt | None:
    """What `publish(event)` gives within a span whose trace context the event then carries.

    None when this is that very call, from within the span, or when the SDK failed: then it is to be published plainly.
    """
    from brain.stream import spans

    return spans.publish(publish, event)


def traced(event: Event) -> Event:
    """The event with the trace context of a span `publish <type>`, for one that is not published by `publish`."""
    from brain.stream import spans

    return spans.announced(event)
