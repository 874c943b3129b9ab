"""Decisions over HTTP, answered from the request's body alone when nothing about it is unusual.

The bodies are those of `ContextBody` and `ContextsBody` (http_models.py). What these would refuse, and what takes a
closer look to know, is left to their routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from brain import limits
from brain.kit.agent_scope import IDENTITY, identity_of, may_ask_for
from brain.plain_json import plain_object
from brain.plugins import Quick
from brain.policy.engine import PolicyEngine

_encode = msgspec.json.Encoder().encode
_TEXTS = ("agent_id", "agent_role", "action", "resource")
_OBJECTS = ("environment", "params")
_SMALL = limits.CONTEXT_BYTES // 8
"""A body of so many bytes has at most `CONTEXT_BYTES` once it is written again: only numbers can become longer."""


def quick_answers(engine: PolicyEngine) -> Mapping[str, Quick]:
    """The quick answers of the routes that decide, by path."""

    def evaluate(body: bytes) -> bytes | None:
        if len(body) > _SMALL or (given := plain_object(body, limits.DEPTH)) is None:
            return None
        context = _context(given)
        return None if context is None or not engine.ready(context) else _encode(engine.evaluate(context))

    def evaluate_many(body: bytes) -> bytes | None:
        given = plain_object(body, limits.DEPTH)
        listed = given.get("contexts") if given is not None and len(given) == 1 else None
        if type(listed) is not list or not 0 < len(listed) <= limits.QUESTIONS:
            return None
        contexts = []
        for one in listed:
            context = _context(one) if type(one) is dict else None
            if context is None or limits.size_fault(context, limits.CONTEXT_BYTES) is not None:
                return None
            if not engine.ready(context):
                return None
            contexts.append(context)
        return _encode(engine.evaluate_many(contexts))

    return {f"/policy/{path}": evaluate_many for path in ("evaluate-many", "evaluate/batch")} | {
        "/policy/evaluate": evaluate
    }


def _context(given: dict[str, Any]) -> dict[str, Any] | None:
    """The context as `ContextBody` gives it; None for one that it would refuse, for agents given as objects, and
    for agents that its sender may not ask for."""
    if "action" not in given or given["action"] is None or "agent" in given:
        return None
    context: dict[str, Any] = {}
    for name in _TEXTS:
        if name in given:
            text = given[name]
            if text is not None and (type(text) is not str or len(text) > limits.TEXT):
                return None
            context[name] = text
    for name in _OBJECTS:
        members = given.get(name, {})
        if type(members) is not dict:
            return None
        context[name] = members
    agent_id = context.get("agent_id")
    if not may_ask_for(agent_id):
        return None
    context["environment"][IDENTITY] = identity_of(agent_id)
    for name, value in given.items():
        if name not in context:
            context[name] = value
    return context
