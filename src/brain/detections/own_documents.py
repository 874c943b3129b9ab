"""Documents of our own: what Sigma cannot say. They have `brain` with a `type`, and no `detection` or `correlation`.

brain:
  type: sequence | first_seen | rate
  rules: [denied, allowed]
  group-by: [agent_id, resource]
  timespan: 10m
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from brain.detections.models import SEVERITIES, Correlation, Problem
from brain.detections.sigma_parser import Fault, about_of, seconds_of

TYPES = ("sequence", "first_seen", "rate")
_TOP = frozenset({"title", "id", "name", "status", "description", "author", "date", "modified", "references", "tags",
                  "level", "falsepositives", "related", "license", "brain"})  # fmt: skip
_COMMON = frozenset({"type", "rules", "group-by", "aliases", "generate", "source", "fold"})
_KEYS: Mapping[str, frozenset[str]] = {
    "sequence": _COMMON | {"timespan", "counts", "unless"},
    "first_seen": _COMMON | {"field", "learn"},
    "rate": _COMMON | {"bucket", "learn", "least", "factor"},
}


def is_own(document: Any) -> bool:
    """Whether the document is one of ours."""
    return (
        isinstance(document, Mapping)
        and isinstance(document.get("brain"), Mapping)
        and "type" in document["brain"]
        and "detection" not in document
    )


def parse_own(document: Mapping[str, Any], path: str) -> Correlation | Problem:
    """The detection of the document, or what is wrong with it."""
    try:
        return _parsed(document, path)
    except Fault as fault:
        return Problem(path, str(document.get("title") or ""), str(fault))


def _parsed(document: Mapping[str, Any], path: str) -> Correlation:
    own = document["brain"]
    kind = own["type"]
    if kind not in TYPES:
        raise Fault(f"brain: type {kind!r} is not one of {', '.join(TYPES)}")
    if unknown := (document.keys() - _TOP) | {f"brain.{key}" for key in own.keys() - _KEYS[kind]}:
        raise Fault(f"unknown keys {', '.join(sorted(map(str, unknown)))}")
    if (level := str(document.get("level") or "medium")) not in SEVERITIES:
        raise Fault(f"level {level!r} is not one of {', '.join(SEVERITIES)}")
    rules = _texts(own, "rules")
    if not rules:
        raise Fault("brain: rules must name one detection or more")
    made = {
        "about": about_of(document, own, path),
        "kind": kind,
        "rules": rules,
        "group_by": _texts(own, "group-by"),
        "aliases": own.get("aliases") or {},
        "generate": bool(own.get("generate", False)),
    }
    return Correlation(**made, **{"sequence": _sequence, "first_seen": _first_seen, "rate": _rate}[kind](own, rules))


def _sequence(own: Mapping[str, Any], rules: Sequence[str]) -> dict[str, Any]:
    counts = own.get("counts") or [1] * len(rules)
    if not isinstance(counts, list) or len(counts) != len(rules) or not all(_is_count(one) for one in counts):
        raise Fault("brain: counts must be one number from 1 to 1000 for each of `rules`")
    if len(rules) < 2:
        raise Fault("brain: a sequence needs two rules or more")
    unless = own.get("unless")
    if unless is not None and not isinstance(unless, str):
        raise Fault("brain: unless must name one detection")
    return {"timespan": seconds_of(own.get("timespan")), "steps": tuple(counts), "unless": unless}


def _first_seen(own: Mapping[str, Any], rules: Sequence[str]) -> dict[str, Any]:
    fields = _texts(own, "field")
    if not fields:
        raise Fault("brain: first_seen needs `field`, the field whose values are learned")
    learn = seconds_of(own.get("learn", "1d"))
    return {"timespan": learn, "learn": learn, "fields": fields}


def _rate(own: Mapping[str, Any], rules: Sequence[str]) -> dict[str, Any]:
    learn, least, factor = own.get("learn", 12), own.get("least", 10), own.get("factor", 4)
    if not _is_count(learn):
        raise Fault("brain: learn must be a number of buckets, from 1 to 1000")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and one > 0 for one in (least, factor)):
        raise Fault("brain: least and factor must be numbers above 0")
    bucket = seconds_of(own.get("bucket", "5m"))
    return {"timespan": bucket, "learn": float(learn), "threshold": float(least), "factor": float(factor)}


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 1000


def _texts(own: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = own.get(name) or ()
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, list | tuple) or not all(isinstance(one, str) for one in values):
        raise Fault(f"brain: {name} must be a text, or a list of texts")
    return tuple(values)
