"""BRAiN EventStream: policy decisions, threats, healing, and one durable event stream, in one package.

The public surface is what this module exports, with `brain.threats` (the functional face of ThreatService) and
`brain.testing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from brain.charter import Event, EventType, Frequency, Pattern, Priority, correlation, in_the_wake_of
from brain.errors import BrainError, Conflict, EnvelopeError, InvalidInput, NotFound, Unavailable
from brain.plugins import catalogue
from brain.stream import DeliveryOptions, EventStream, Inbox

if TYPE_CHECKING:
    from brain.immune import HealthEvent, ImmuneService
    from brain.policy import Condition, PolicyEngine, Rule
    from brain.threats import ThreatService

__version__ = "0.1.0"

_MODULES = {
    "Condition": "brain.policy",
    "PolicyEngine": "brain.policy",
    "Rule": "brain.policy",
    "ThreatService": "brain.threats",
    "HealthEvent": "brain.immune",
    "ImmuneService": "brain.immune",
}


def __getattr__(name: str) -> Any:
    """The modules' classes, imported when first asked for: a program that only publishes does not load them."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name in ("policy", "threats", "immune", "testing"):
        return import_module(f"brain.{name}")
    if name == "Delivering":
        return import_module("brain.stream").Delivering
    raise AttributeError(f"module 'brain' has no attribute {name!r}")


__all__ = [
    "BrainError",
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
    "NotFound",
    "Pattern",
    "PolicyEngine",
    "Priority",
    "Rule",
    "ThreatService",
    "Unavailable",
    "catalogue",
    "correlation",
    "in_the_wake_of",
]
