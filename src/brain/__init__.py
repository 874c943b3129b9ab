"""BRAiN EventStream: policy decisions, threats, healing, and one durable event stream, in one package.

The public surface is what this module exports, with `brain.threats` (the functional face of ThreatService) and
`brain.testing`. docs/api.md lists it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from brain.exports import lazy

if TYPE_CHECKING:
    from brain import immune as immune
    from brain import plugins as plugins
    from brain import policy as policy
    from brain import stream as stream
    from brain import testing as testing
    from brain import threats as threats
    from brain.charter import (
        Event,
        EventType,
        Frequency,
        Pattern,
        Principal,
        Priority,
        acting,
        correlation,
        in_the_wake_of,
    )
    from brain.errors import BrainError, Conflict, EnvelopeError, InvalidInput, NotFound, Unavailable
    from brain.immune import HealthEvent, ImmuneService
    from brain.plugins import catalogue
    from brain.policy import Condition, PolicyEngine, Rule
    from brain.policy.flow import CircuitOpen, LimitExceeded, breaker, limiter
    from brain.stream import DeliveryOptions, EventStream, Inbox
    from brain.threats import ThreatService

    Delivering = DeliveryOptions  # its name in the release before

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    _export = lazy(
        __name__,
        {
            "brain.charter": [
                "Event",
                "EventType",
                "Frequency",
                "Pattern",
                "Principal",
                "Priority",
                "acting",
                "correlation",
                "in_the_wake_of",
            ],
            "brain.errors": ["BrainError", "Conflict", "EnvelopeError", "InvalidInput", "NotFound", "Unavailable"],
            "brain.immune": ["HealthEvent", "ImmuneService"],
            "brain.plugins": ["catalogue"],
            "brain.policy": ["Condition", "PolicyEngine", "Rule"],
            "brain.policy.flow": ["CircuitOpen", "LimitExceeded", "breaker", "limiter"],
            "brain.stream": ["DeliveryOptions", "EventStream", "Inbox"],
            "brain.threats": ["ThreatService"],
        },
        former={"Delivering": "DeliveryOptions"},
    )

    def __getattr__(name: str) -> Any:
        """A public name or a public package, imported when it is first asked for."""
        if name in ("immune", "plugins", "policy", "stream", "testing", "threats"):
            return import_module(f"brain.{name}")
        return _export(name)


__all__ = [
    "BrainError",
    "CircuitOpen",
    "Condition",
    "Conflict",
    "DeliveryOptions",
    "EnvelopeError",
    "Event",
    "EventStream",
    "EventType",
    "Frequency",
    "HealthEvent",
    "ImmuneService",
    "Inbox",
    "InvalidInput",
    "LimitExceeded",
    "NotFound",
    "Pattern",
    "PolicyEngine",
    "Principal",
    "Priority",
    "Rule",
    "ThreatService",
    "Unavailable",
    "acting",
    "breaker",
    "catalogue",
    "correlation",
    "in_the_wake_of",
    "limiter",
]
