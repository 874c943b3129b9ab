"""Decisions over HTTP, answered from the request's body alone when nothing about it is unusual.

The bodies are those of `ContextBody` and `ContextsBody` (http_models.py). What these would refuse, and what takes a
closer look to know, is left to their routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Required, TypedDict

import msgspec
from msgspec import Meta

from brain import limits
from brain.kit.agent_scope import IDENTITY, identities
from brain.plain_json import is_plain, key_count, plain_object
from brain.plugins import Quick
from brain.policy.decisions import Decision
from brain.policy.engine import PolicyEngine
from brain.typed import ready

_encode = msgspec.json.Encoder().encode
_TEXTS = ("agent_id", "agent_role", "action", "resource")
_OBJECTS = ("environment", "params")
_SMALL = limits.CONTEXT_BYTES // 8
"""A body of so many bytes has at most `CONTEXT_BYTES` once it is written again: only numbers can become longer."""

_Text = Annotated[str, Meta(max_length=limits.TEXT)]
_Member = str | Annotated[int, Meta(ge=limits.INTEGER_LEAST, le=2**63 - 1)] | float | bool | None
Context = dict[str, Any]


class _Asked(TypedDict, total=False):
    """A context as most are: of the usual fields, and with nothing nested in the two that are objects."""

    agent_id: _Text | None
    agent_role: _Text | None
    action: Required[_Text]
    resource: _Text | None
    environment: dict[str, _Member]
    params: dict[str, _Member]


class _Contexts(msgspec.Struct, forbid_unknown_fields=True):
    contexts: Annotated[list[_Asked], Meta(min_length=1, max_length=limits.QUESTIONS)]


_asked = msgspec.json.Decoder(ready(_Asked)).decode
_all_asked = msgspec.json.Decoder(ready(_Contexts)).decode


def quick_answers(engine: PolicyEngine) -> Mapping[str, Quick]:
    """The quick answers of the routes that decide, by path."""

    def evaluate(body: bytes) -> bytes | None:
        if len(body) > _SMALL or (contexts := _usual_context(body) or _any_context(body)) is None:
            return None
        return _answer(engine.evaluate(contexts[0])) if engine.ready(contexts[0]) else None

    def evaluate_many(body: bytes) -> bytes | None:
        contexts = _usual_contexts(body) or _any_contexts(body)
        if contexts is None or not all(map(engine.ready, contexts)):
            return None
        if len(body) > _SMALL and max(map(len, map(_encode, contexts))) > limits.CONTEXT_BYTES:
            return None
        return b"[" + b",".join(map(_answer, engine.evaluate_many(contexts))) + b"]"

    return {f"/policy/{path}": evaluate_many for path in ("evaluate-many", "evaluate/batch")} | {
        "/policy/evaluate": evaluate
    }


_KEPT = 4_096
_answers: dict[int, tuple[Decision, bytes]] = {}
"""By the id of a decision: that decision, which is the same for all contexts that its rule decides, and its JSON."""


def _answer(decision: Decision) -> bytes:
    known = _answers.get(id(decision))
    if known is None or known[0] is not decision:
        if len(_answers) >= _KEPT:
            _answers.clear()
        known = _answers[id(decision)] = decision, _encode(decision)
    return known[1]


def _usual_context(body: bytes) -> list[Context] | None:
    try:
        return _completed([_asked(body)], body, 0) if is_plain(body) else None
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None


def _usual_contexts(body: bytes) -> list[Context] | None:
    try:
        return _completed(_all_asked(body).contexts, body, 1) if is_plain(body) else None
    except (ValueError, RecursionError):
        return None


def _completed(asked: list[Any], body: bytes, keys: int) -> list[Context] | None:
    """The contexts as `ContextBody` gives them; None where a field is not one of the usual ones or was given twice, as
    the number of keys in the body shows, and for agents that their sender may not ask for.

    `keys` is how many the body has around them.
    """
    keys += sum(map(len, asked))
    identity = identities()
    for context in asked:
        environment, params = context.get("environment"), context.get("params")
        if environment is None:
            environment = context["environment"] = {}
        if params is None:
            params = context["params"] = {}
        keys += len(environment) + len(params)
        found = identity(context.get("agent_id"))
        if found is None:
            return None
        environment[IDENTITY] = found
    return asked if keys == key_count(body) else None


def _any_context(body: bytes) -> list[Context] | None:
    given = plain_object(body, limits.DEPTH)
    context = None if given is None else _context(given)
    return None if context is None else [context]


def _any_contexts(body: bytes) -> list[Context] | None:
    given = plain_object(body, limits.DEPTH)
    listed = given.get("contexts") if given is not None and len(given) == 1 else None
    if type(listed) is not list or not 0 < len(listed) <= limits.QUESTIONS:
        return None
    contexts = [context for one in listed if type(one) is dict and (context := _context(one)) is not None]
    return contexts if len(contexts) == len(listed) else None


def _context(given: Context) -> Context | None:
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
    identity = identities()(context.get("agent_id"))
    if identity is None:
        return None
    context["environment"][IDENTITY] = identity
    for name, value in given.items():
        if name not in context:
            context[name] = value
    return context
