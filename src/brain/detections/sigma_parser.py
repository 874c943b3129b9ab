"""Sigma rules and correlations, parsed by pySigma and turned into our own detections.

pySigma is an extra (LGPL-2.1) and is imported inside the functions here alone. It finds faults in two places: when it
reads a rule, and when a condition is parsed; both are problems of the file. https://sigmahq.io/docs
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from brain.detections.models import HOUR, TEXT, About, Correlation, Detection, LogSource, Problem, Rule, Tree
from brain.extras import needs

if TYPE_CHECKING:
    from sigma.types import SigmaString, SigmaType

FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
CORRELATION_KEYS = frozenset({"type", "rules", "generate", "group-by", "timespan", "condition", "aliases"})
OWN_KEYS = frozenset({"source", "fold"})
_SPAN = re.compile(r"([1-9][0-9]{0,6})([smhdw])").fullmatch
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
VALUES = frozenset({"value_count", "value_sum", "value_avg", "value_percentile", "value_median"})


class Fault(Exception):
    """What is wrong with one rule, in words."""


def parse_documents(documents: Sequence[Any], path: str) -> tuple[list[Detection], list[Problem]]:
    """The detections of a file's documents, and its problems. Raises MissingExtra without pySigma."""
    with needs("detections: reading Sigma rules", "detections"):
        from sigma.collection import SigmaCollection
        from sigma.exceptions import SigmaError
    if not all(isinstance(document, dict) for document in documents):
        return [], [Problem(path, "", "is no Sigma rule: write an object with title, logsource and detection")]
    try:
        collection = SigmaCollection.from_dicts([*documents], collect_errors=True, resolve_references=False)
    except SigmaError as error:
        return [], [Problem(path, "", str(error))]
    except (AttributeError, TypeError, KeyError, ValueError) as error:  # documents of a shape that it does not expect
        return [], [Problem(path, "", f"is no Sigma rule: {error}")]
    found: list[Detection] = []
    problems: list[Problem] = []
    own = {id(error) for rule in collection.rules for error in rule.errors}
    problems += [Problem(path, "", str(error)) for error in collection.errors if id(error) not in own]
    problems += _unknown_keys(documents, path)
    for rule in collection.rules:
        title = str(rule.title or "")
        if rule.errors:
            problems += [Problem(path, title, str(error)) for error in rule.errors]
            continue
        try:
            found.append(_detection(rule, path))
        except (SigmaError, Fault) as error:
            problems.append(Problem(path, title, str(error)))
        except (AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:  # shapes it does not expect
            problems.append(Problem(path, title, f"cannot be understood: {error}"))
    return found, problems


def _unknown_keys(documents: Sequence[Any], path: str) -> list[Problem]:
    """Keys of correlations that pySigma passes over in silence."""
    problems = []
    for document in documents:
        correlation = document.get("correlation") if isinstance(document, Mapping) else None
        if isinstance(correlation, Mapping) and (unknown := correlation.keys() - CORRELATION_KEYS):
            text = f"correlation: unknown keys {', '.join(sorted(map(str, unknown)))}"
            problems.append(Problem(path, str(document.get("title") or ""), text))
    return problems


def _detection(rule: Any, path: str) -> Detection:
    from sigma.rule import SigmaRule

    if isinstance(rule, SigmaRule):
        return _rule(rule, path)
    return _correlation(rule, path)


def _rule(rule: Any, path: str) -> Rule:
    trees = [tree_of(condition.parsed) for condition in rule.detection.parsed_condition]
    source = rule.logsource
    return Rule(
        about=_about(rule, path),
        logsource=LogSource(source.category, source.product, source.service),
        tree=trees[0] if len(trees) == 1 else ("or", trees),
    )


def _about(rule: Any, path: str) -> About:
    own = rule.custom_attributes.get("brain") or {}
    if not isinstance(own, Mapping):
        raise Fault("brain: must be a mapping, such as {source: agent_id, fold: 1h}")
    if unknown := own.keys() - OWN_KEYS:
        raise Fault(f"brain: unknown keys {', '.join(sorted(map(str, unknown)))}; known are source and fold")
    return about_of(
        {
            "id": None if rule.id is None else str(rule.id),
            "name": rule.name,
            "title": rule.title,
            "description": rule.description,
            "level": None if rule.level is None else rule.level.name.lower(),
            "tags": [str(tag) for tag in rule.tags],
        },
        own,
        path,
    )


def about_of(given: Mapping[str, Any], own: Mapping[str, Any], path: str) -> About:
    """What a document says of itself, and its own `source` and `fold`. Raises Fault."""
    title = str(given.get("title") or "")
    name = str(given.get("name") or re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_"))
    source = own.get("source") or ()
    sources = (source,) if isinstance(source, str) else source
    if not isinstance(sources, Sequence) or not all(isinstance(one, str) for one in sources):
        raise Fault("brain: source must be the name of a field, or a list of names")
    key = str(given.get("id") or name)
    if not key:
        raise Fault("has neither title, name nor id")
    return About(
        key=key,
        name=name or key,
        title=title or name,
        description=str(given.get("description") or "").strip(),
        level=str(given.get("level") or "medium"),
        tags=tuple(given.get("tags") or ()),
        source=tuple(sources),
        fold=seconds_of(own["fold"]) if "fold" in own else HOUR,
        path=path,
    )


def seconds_of(text: Any) -> float:
    """The seconds of a span such as 10m. Raises Fault."""
    found = _SPAN(text) if isinstance(text, str) else None
    if found is None:
        raise Fault(f"timespan {text!r} is none; write a number and one of s m h d w, such as 10m")
    return float(found[1]) * _SECONDS[found[2]]


def _correlation(rule: Any, path: str) -> Correlation:
    kind = rule.type.name.lower()
    references, expression = _references(rule)
    condition = rule.condition
    op, threshold, fields, percentile = "gte", float(len(references)), (), None
    if expression is None:
        op, threshold = condition.op.name.lower(), condition.count
        field = condition.fieldref
        fields = () if field is None else (field,) if isinstance(field, str) else tuple(field)
        percentile = condition.percentile
    if kind == "value_percentile" and percentile is None:
        raise Fault("correlation: value_percentile needs `percentile` in its condition, from 0 to 100")
    if percentile is not None and not 0 <= percentile <= 100:
        raise Fault(f"correlation: percentile is {percentile}; it must be from 0 to 100")
    return Correlation(
        about=_about(rule, path),
        kind=kind,
        rules=references,
        group_by=tuple(rule.group_by or ()),
        aliases={
            one.alias: {reference.reference: field for reference, field in one.mapping.items()} for one in rule.aliases
        },
        timespan=float(rule.timespan.seconds),
        op=op,
        threshold=threshold,
        fields=fields,
        percentile=percentile,
        expression=expression,
        generate=bool(rule.generate),
    )


def _references(rule: Any) -> tuple[tuple[str, ...], Tree]:
    """The names that a correlation refers to, and its condition where that is an expression."""
    from sigma.correlations import SigmaExtendedCorrelationCondition

    if not isinstance(rule.condition, SigmaExtendedCorrelationCondition):
        return tuple(one.reference for one in rule.rules or ()), None
    names = tuple(rule.condition.get_referenced_rules())
    return names, _expression(rule.condition.parsed)


def _expression(node: Any) -> Tree:
    from sigma.correlations import CorrelationConditionAND, CorrelationConditionOR, SigmaRuleReference

    if isinstance(node, SigmaRuleReference):
        return node.reference
    if isinstance(node, CorrelationConditionAND):
        return ("and", tuple(_expression(one) for one in node.args))
    if isinstance(node, CorrelationConditionOR):
        return ("or", tuple(_expression(one) for one in node.args))
    raise Fault("correlation: `not` in a condition has no meaning in time; write a sequence with `unless`")


def tree_of(node: Any) -> Tree:
    """The tree of a parsed condition. Raises Fault for a placeholder and for what has no meaning here."""
    from sigma import conditions

    if isinstance(node, conditions.ConditionAND):
        return ("and", tuple(tree_of(one) for one in node.args))
    if isinstance(node, conditions.ConditionOR):
        return ("or", tuple(tree_of(one) for one in node.args))
    if isinstance(node, conditions.ConditionNOT):
        return ("not", tree_of(node.args[0]))
    if isinstance(node, conditions.ConditionFieldEqualsValueExpression):
        return _test(node.field, node.value)
    if isinstance(node, conditions.ConditionValueExpression):
        return _test(TEXT, node.value)
    raise Fault(f"a condition of type {type(node).__name__} has no meaning here")


def _test(field: str, value: SigmaType) -> Tree:
    from sigma import types

    match value:
        case types.SigmaExpansion():
            return ("or", tuple(_test(field, one) for one in value.values))
        case types.SigmaString():
            return ("field", field, _text_test(value, keyword=field == TEXT))
        case types.SigmaTimestampPart():
            return ("field", field, ("moment", value.timestamp_part.name.lower(), int(value.number)))
        case types.SigmaNumber():
            return ("field", field, ("part" if field == TEXT else "eq", str(value.number)))
        case types.SigmaBool():
            return ("field", field, ("eq", str(value.boolean).lower()))
        case types.SigmaNull():
            return ("field", field, ("empty",))
        case types.SigmaExists():
            return ("field", field, ("exists", value.exists))
        case types.SigmaRegularExpression():
            return ("field", field, ("re", _pattern(value)))
        case types.SigmaCIDRExpression():
            return ("field", field, ("within", str(value.network)))
        case types.SigmaCompareExpression():
            return ("field", field, ("compare", value.op.name.lower(), value.number.number))
        case types.SigmaFieldReference():
            mode = {(True, True): "part", (True, False): "starts", (False, True): "ends", (False, False): ""}
            return ("field", field, ("same", value.field, mode[value.starts_with, value.ends_with]))
    raise Fault(f"field {field!r}: a value of type {type(value).__name__} has no meaning here")


def _pattern(value: Any) -> str:
    if value.regexp.contains_placeholder():
        raise _unfilled(value.regexp)
    flags = "".join(sorted(FLAGS[flag.name] for flag in value.flags))
    return f"(?{flags}){value.regexp}" if flags else str(value.regexp)


def _unfilled(value: SigmaString) -> Fault:
    from sigma.types import Placeholder

    names = [part.name for part in value.s if isinstance(part, Placeholder)]
    return Fault(f"placeholder %{names[0]}% is not filled: write the values into a copy of the rule")


def _text_test(value: SigmaString, keyword: bool) -> tuple[Any, ...]:
    """The simplest test for a text with wildcards. A keyword is looked for anywhere."""
    from sigma.types import SigmaCasedString, SpecialChars

    if value.contains_placeholder():
        raise _unfilled(value)
    cased = isinstance(value, SigmaCasedString)
    mark = "=" if cased else ""
    parts: list[Any] = []
    for part in value.s:
        if part is SpecialChars.WILDCARD_MULTI and parts and parts[-1] is part:
            continue
        if isinstance(part, str):
            part = part if cased else part.lower()
            if parts and isinstance(parts[-1], str):
                parts[-1] += part
                continue
        parts.append(part)
    many = SpecialChars.WILDCARD_MULTI
    if keyword:
        parts = parts[parts[:1] == [many] :]
        parts = parts[: len(parts) - (parts[-1:] == [many])]
        if not parts:
            return ("some",)
        return (
            ("part" + mark, parts[0])
            if len(parts) == 1 and parts[0] is not SpecialChars.WILDCARD_SINGLE
            else ("glob" + mark, "(?s)" + _glob(parts))
        )
    match parts:
        case []:
            return ("eq" + mark, "")
        case [str(text)]:
            return ("eq" + mark, text)
        case [one] if one is many:
            return ("some",)
        case [str(text), last] if last is many:
            return ("starts" + mark, text)
        case [first, str(text)] if first is many:
            return ("ends" + mark, text)
        case [first, str(text), last] if first is many and last is many:
            return ("part" + mark, text)
    if SpecialChars.WILDCARD_SINGLE in parts:
        return ("glob" + mark, rf"(?s)\A(?:{_glob(parts)})\z")
    ends = [""] if parts[0] is many else [], [""] if parts[-1] is many else []
    return ("pieces" + mark, (*ends[0], *(part for part in parts if isinstance(part, str)), *ends[1]))


def _glob(parts: Sequence[Any]) -> str:
    from sigma.types import SpecialChars

    from brain.regular_expressions import re2

    return "".join(
        re2.escape(part) if isinstance(part, str) else ".*" if part is SpecialChars.WILDCARD_MULTI else "."
        for part in parts
    )
